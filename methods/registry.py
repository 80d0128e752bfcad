"""The built-in methods by name. What `flowgauge list` shows of each is read from its file (`core.plugin_docs`)."""

from ..core.plugin_docs import plugin_docs
from ..core.registry import Registry

OUTSIDE = "outside."
"""What the names of explanations that were computed elsewhere begin with (`benchmark.external`); no method may be named so."""

METHODS = Registry(
    "method",
    "flowgauge.methods",
    {
        "influence-patterns": "flowgauge.methods.patterns.influence_patterns:InfluencePatterns",
        "attention": "flowgauge.methods.attention.attention_paths:AttentionPaths",
        "raw-attention": "flowgauge.methods.attention.raw_attention:RawAttention",
        "attention-rollout": "flowgauge.methods.attention.attention_rollout:AttentionRollout",
        "attention-flow": "flowgauge.methods.attention.attention_flow:AttentionFlow",
        "gradient-x-attention": "flowgauge.methods.gradients.gradient_x_attention:GradientXAttention",
        "generic-attention": "flowgauge.methods.gradients.gradient_x_attention:GenericAttention",
        "attcat": "flowgauge.methods.gradients.attcat:AttCAT",
        "deep-lift": "flowgauge.methods.gradients.deep_lift:DeepLift",
        "attn-lrp": "flowgauge.methods.gradients.layer_wise_relevance:AttnLRP",
        "cp-lrp": "flowgauge.methods.gradients.layer_wise_relevance:CPLRP",
        "head-taylor": "flowgauge.methods.gradients.head_taylor:HeadTaylor",
        "head-accuracy-difference": "flowgauge.methods.perturbation.head_accuracy_difference:head_accuracy_difference",
        "conductance": "flowgauge.methods.gradients.conductance:Conductance",
        "internal-influence": "flowgauge.methods.gradients.internal_influence:InternalInfluence",
        "integrated-gradients": "flowgauge.methods.gradients.integrated_gradients:IntegratedGradients",
        "repl-skip": "flowgauge.methods.patterns.repl_skip:ReplacedSkips",
        "saliency": "flowgauge.methods.gradients.saliency:Saliency",
        "gradient-x-input": "flowgauge.methods.gradients.saliency:GradientXInput",
        "smooth-grad": "flowgauge.methods.averaged_gradients.smooth_grad:SmoothGrad",
        "gradient-shap": "flowgauge.methods.averaged_gradients.gradient_shap:GradientShap",
        "sequential-ig": "flowgauge.methods.averaged_gradients.sequential_ig:SequentialIntegratedGradients",
        "discretized-ig": "flowgauge.methods.averaged_gradients.discretized_ig:DiscretizedIntegratedGradients",
        "leave-one-out": "flowgauge.methods.perturbation.leave_one_out:LeaveOneOut",
        "occlusion": "flowgauge.methods.perturbation.occlusion:Occlusion",
        "atman": "flowgauge.methods.perturbation.atman:AtMan",
        "shapley-sampling": "flowgauge.methods.perturbation.shapley_and_lime:ShapleySampling",
        "lime": "flowgauge.methods.perturbation.shapley_and_lime:Lime",
        "kernel-shap": "flowgauge.methods.perturbation.shapley_and_lime:KernelShap",
        "attattr": "flowgauge.methods.gradients.attattr:AttAttr",
        "ib-attribution": "flowgauge.methods.noise.ib_attribution:IBAttribution",
        "information-mask": "flowgauge.methods.noise.information_mask:InformationMask",
        "diffmask-input": "flowgauge.methods.masks.diffmask:DiffMaskInput",
        "diffmask-hidden": "flowgauge.methods.masks.diffmask:DiffMaskHidden",
        "exact-erasure": "flowgauge.methods.perturbation.exact_erasure:ExactErasure",
        "diffmask-single": "flowgauge.methods.masks.diffmask_single:DiffMaskSingle",
        "reinforce-mask": "flowgauge.methods.masks.reinforce_mask:ReinforceMask",
        "activation-patching": "flowgauge.methods.circuits.patching:ActivationPatching",
        "edge-patching": "flowgauge.methods.circuits.patching:EdgePatching",
        "attribution-patching": "flowgauge.methods.circuits.eap_ig:AttributionPatching",
        "eap-ig": "flowgauge.methods.circuits.eap_ig:EapIg",
        "value-zeroing": "flowgauge.methods.decomposition.value_zeroing:ValueZeroing",
        "globenc": "flowgauge.methods.decomposition.globenc:GlobEnc",
        "alti": "flowgauge.methods.decomposition.alti:Alti",
        "alti-logit": "flowgauge.methods.decomposition.alti_logit:AltiLogit",
        "decompx": "flowgauge.methods.decomposition.decompx:DecompX",
        "information-flow-routes": "flowgauge.methods.decomposition.information_flow_routes:InformationFlowRoutes",
        "random": "flowgauge.methods.random:Random",
    },
)


def controlled_method(name: str) -> str:
    """The method that a built-in method is a control of; empty for one that is no control.

    Args:
        name: Plain name.

    >>> controlled_method("repl-skip")
    'influence-patterns'
    """
    target = METHODS.builtin.get(name)
    return str(plugin_docs(target).declared.get("control_of", "")) if target else ""
