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
            "The path of nodes that carries most of each word's influence, at the embedding and the attention level.",
        ),
        "attention": Entry(
            "flowgauge.methods.attention.attention_paths:AttentionPaths",
            "The path with the largest product of attention between each word and the target.",
        ),
        "raw-attention": Entry(
            "flowgauge.methods.attention.raw_attention:RawAttention",
            "The attention weights of every head, and the target's attention to each word, averaged over the heads of one layer.",
        ),
        "attention-rollout": Entry(
            "flowgauge.methods.attention.attention_rollout:AttentionRollout",
            "The share of the target's attention that comes from each word when attention is multiplied through the layers.",
        ),
        "attention-flow": Entry(
            "flowgauge.methods.attention.attention_flow:AttentionFlow",
            "The largest flow between the target and each word through a graph whose capacities are attention.",
        ),
        "gradient-x-attention": Entry(
            "flowgauge.methods.gradients.gradient_x_attention:GradientXAttention",
            "Each attention weight times the gradient of q for it: what q would lose, to first order, without that weight.",
        ),
        "head-taylor": Entry(
            "flowgauge.methods.gradients.head_taylor:HeadTaylor",
            "How much the loss would change, to first order, without each head.",
        ),
        "head-accuracy-difference": Entry(
            "flowgauge.methods.perturbation.head_accuracy_difference:head_accuracy_difference",
            "Whether the model is right with all heads, minus whether it is right without one.",
        ),
        "conductance": Entry(
            "flowgauge.methods.gradients.conductance:Conductance",
            "The influence of each word that flows through each hidden state, layer by layer.",
        ),
        "internal-influence": Entry(
            "flowgauge.methods.gradients.internal_influence:InternalInfluence",
            "The mean gradient of q at each hidden state along the path.",
        ),
        "integrated-gradients": Entry(
            "flowgauge.methods.gradients.integrated_gradients:IntegratedGradients",
            "Integrated gradients of tokens and of each layer's hidden states.",
        ),
        "repl-skip": Entry(
            "flowgauge.methods.patterns.repl_skip:ReplacedSkips",
            "Influence patterns with each skip node replaced by all heads at its place.",
        ),
        "saliency": Entry("flowgauge.methods.gradients.saliency:Saliency", "The size of the gradient of q at each word vector."),
        "gradient-x-input": Entry(
            "flowgauge.methods.gradients.saliency:GradientXInput", "The gradient of q at each word vector times the vector."
        ),
        "leave-one-out": Entry(
            "flowgauge.methods.perturbation.leave_one_out:LeaveOneOut", "How much q falls when one word is removed."
        ),
        "shapley-sampling": Entry(
            "flowgauge.methods.perturbation.shapley_and_lime:ShapleySampling",
            "Shapley values of the words, from random permutations.",
        ),
        "lime": Entry(
            "flowgauge.methods.perturbation.shapley_and_lime:Lime",
            "Coefficients of a sparse linear model of q over random removals.",
        ),
        "kernel-shap": Entry(
            "flowgauge.methods.perturbation.shapley_and_lime:KernelShap",
            "Shapley values of the words, from a weighted linear fit over random removals.",
        ),
        "attattr": Entry(
            "flowgauge.methods.gradients.attattr:AttAttr",
            "What each attention weight adds to the output, on the path from no attention in its layer to the layer's own.",
        ),
        "ib-attribution": Entry(
            "flowgauge.methods.masks.ib_attribution:IBAttribution",
            "How much of each state the answer needs, when noise takes the place of the rest.",
        ),
        "information-mask": Entry(
            "flowgauge.methods.masks.information_mask:InformationMask",
            "How little noise each state bears before the outputs change.",
        ),
        "diffmask-input": Entry(
            "flowgauge.methods.masks.diffmask:DiffMaskInput",
            "Which words the model can do without, as far as its states up to each depth tell.",
        ),
        "diffmask-hidden": Entry(
            "flowgauge.methods.masks.diffmask:DiffMaskHidden",
            "Which hidden states the model can do without, depth by depth.",
        ),
        "exact-erasure": Entry(
            "flowgauge.methods.perturbation.exact_erasure:ExactErasure",
            "The smallest sets of words that, kept alone, keep the model's prediction.",
        ),
        "diffmask-single": Entry(
            "flowgauge.methods.masks.diffmask_single:DiffMaskSingle",
            "Which words one sentence's outputs need: hard concrete gates trained for that sentence alone.",
        ),
        "reinforce-mask": Entry(
            "flowgauge.methods.masks.reinforce_mask:ReinforceMask",
            "Which words one sentence's outputs need: coins for every word, trained by REINFORCE with a moving-average baseline.",
        ),
        "random": Entry("flowgauge.methods.random:Random", "Uniform random scores: the floor that every method must beat."),
    },
)
