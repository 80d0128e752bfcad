"""The built-in methods by name, each with the line that `flowgauge list` shows (its docstring's first)."""

from ..core.registry import Entry, Registry

OUTSIDE = "outside."
"""What the names of explanations that were computed elsewhere begin with (`benchmark.outside`), and those of no method here."""

METHODS = Registry(
    "method",
    "flowgauge.methods",
    {
        "influence-patterns": Entry(
            "flowgauge.methods.patterns.influence_patterns:InfluencePatterns",
            "Paths of nodes that carry most of each word's influence, by guided pattern refinement (Lu et al. 2021).",
        ),
        "attention": Entry(
            "flowgauge.methods.attention.attention_paths:AttentionPaths",
            "Paths with the largest product of attention weights from each word to the target (Abnar & Zuidema 2020).",
        ),
        "raw-attention": Entry(
            "flowgauge.methods.attention.raw_attention:RawAttention",
            "Attention weights of every head, and the target's mean attention to each word (Abnar & Zuidema 2020).",
        ),
        "attention-rollout": Entry(
            "flowgauge.methods.attention.attention_rollout:AttentionRollout",
            "Attention multiplied through the layers, with residuals (Abnar & Zuidema 2020).",
        ),
        "attention-flow": Entry(
            "flowgauge.methods.attention.attention_flow:AttentionFlow",
            "Maximum flow from the target to each word, with attention weights as capacities (Abnar & Zuidema 2020).",
        ),
        "gradient-x-attention": Entry(
            "flowgauge.methods.gradients.gradient_x_attention:GradientXAttention",
            "Each attention weight times the gradient of q with respect to it (Serrano & Smith 2019).",
        ),
        "head-taylor": Entry(
            "flowgauge.methods.gradients.head_taylor:HeadTaylor",
            "First-order estimate of the change of the loss when one head is removed (Michel et al. 2019).",
        ),
        "head-accuracy-difference": Entry(
            "flowgauge.methods.perturbation.head_accuracy_difference:head_accuracy_difference",
            "Decrease of accuracy when one head is removed (Michel et al. 2019).",
        ),
        "conductance": Entry(
            "flowgauge.methods.gradients.conductance:Conductance",
            "Influence of each word that flows through each hidden state, layer by layer (Dhamdhere et al. 2018).",
        ),
        "internal-influence": Entry(
            "flowgauge.methods.gradients.internal_influence:InternalInfluence",
            "Mean gradient of q at each hidden state along the path from a baseline (Leino et al. 2018).",
        ),
        "integrated-gradients": Entry(
            "flowgauge.methods.gradients.integrated_gradients:IntegratedGradients",
            "Gradients integrated on a straight line from a baseline, for words and hidden states (Sundararajan et al. 2017).",
        ),
        "repl-skip": Entry(
            "flowgauge.methods.patterns.repl_skip:ReplacedSkips",
            "Influence patterns with each skip connection replaced by all heads, as a control (Lu et al. 2021).",
        ),
        "saliency": Entry(
            "flowgauge.methods.gradients.saliency:Saliency",
            "Norm of the gradient of q at each word vector (Simonyan et al. 2014).",
        ),
        "gradient-x-input": Entry(
            "flowgauge.methods.gradients.saliency:GradientXInput",
            "Gradient of q at each word vector times the vector (Shrikumar et al. 2016).",
        ),
        "leave-one-out": Entry(
            "flowgauge.methods.perturbation.leave_one_out:LeaveOneOut", "Decrease of q when one word is removed (Li et al. 2016)."
        ),
        "shapley-sampling": Entry(
            "flowgauge.methods.perturbation.shapley_and_lime:ShapleySampling",
            "Shapley values of the words, estimated from random permutations (Castro et al. 2009).",
        ),
        "lime": Entry(
            "flowgauge.methods.perturbation.shapley_and_lime:Lime",
            "Coefficients of a sparse linear model of q, fitted to random removals of words (Ribeiro et al. 2016).",
        ),
        "kernel-shap": Entry(
            "flowgauge.methods.perturbation.shapley_and_lime:KernelShap",
            "Shapley values of the words, estimated by weighted regression on random removals (Lundberg & Lee 2017).",
        ),
        "attattr": Entry(
            "flowgauge.methods.gradients.attattr:AttAttr",
            "Gradients integrated over attention weights scaled from 0 to their own values, layer by layer (Hao et al. 2021).",
        ),
        "ib-attribution": Entry(
            "flowgauge.methods.masks.ib_attribution:IBAttribution",
            "Information of each state that the answer needs when noise replaces the rest (Schulz et al. 2020).",
        ),
        "information-mask": Entry(
            "flowgauge.methods.masks.information_mask:InformationMask",
            "Inverse of the noise that each state tolerates before the outputs change (Guan et al. 2019).",
        ),
        "diffmask-input": Entry(
            "flowgauge.methods.masks.diffmask:DiffMaskInput",
            "Probability that the model needs each word, by probes trained on its states up to each depth (De Cao et al. 2020).",
        ),
        "diffmask-hidden": Entry(
            "flowgauge.methods.masks.diffmask:DiffMaskHidden",
            "Probability that the model needs each hidden state, by one probe trained for each depth (De Cao et al. 2020).",
        ),
        "exact-erasure": Entry(
            "flowgauge.methods.perturbation.exact_erasure:ExactErasure",
            "Smallest sets of words that, kept alone, keep the prediction, by exhaustive search (De Cao et al. 2020).",
        ),
        "diffmask-single": Entry(
            "flowgauge.methods.masks.diffmask_single:DiffMaskSingle",
            "Probability that the model needs each word, by gates trained for one sentence alone (De Cao et al. 2020).",
        ),
        "reinforce-mask": Entry(
            "flowgauge.methods.masks.reinforce_mask:ReinforceMask",
            "Probability that the model needs each word, by REINFORCE for one sentence alone (De Cao et al. 2020).",
        ),
        "random": Entry(
            "flowgauge.methods.random:Random",
            "Uniform random scores, a control that every other method must exceed (Lu et al. 2021).",
        ),
    },
)
