"""The built-in methods by name, each with the line that `flowgauge list` shows (its docstring's first)."""

from ..core.registry import Entry, Registry

METHODS = Registry(
    "method",
    "flowgauge.methods",
    {
        "influence-patterns": Entry(
            "flowgauge.methods.influence_patterns:InfluencePatterns",
            "The path of nodes that carries most of each word's influence, at the embedding and the attention level.",
        ),
        "attention": Entry(
            "flowgauge.methods.attention:AttentionPaths",
            "The path with the largest product of attention between each word and the target.",
        ),
        "conductance": Entry(
            "flowgauge.methods.conductance:Conductance",
            "The influence of each word that flows through each hidden state, layer by layer.",
        ),
        "internal-influence": Entry(
            "flowgauge.methods.internal_influence:InternalInfluence",
            "The mean gradient of q at each hidden state along the path.",
        ),
        "integrated-gradients": Entry(
            "flowgauge.methods.integrated_gradients:IntegratedGradients",
            "Integrated gradients of tokens and of each layer's hidden states.",
        ),
        "repl-skip": Entry(
            "flowgauge.methods.repl_skip:ReplacedSkips",
            "Influence patterns with each skip node replaced by all heads at its place.",
        ),
        "attattr": Entry(
            "flowgauge.methods.attattr:AttAttr",
            "What each attention weight adds to the output, on the path from no attention in its layer to the layer's own.",
        ),
        "random": Entry("flowgauge.methods.random:Random", "Uniform random scores: the floor that every method must beat."),
    },
)
