"""How true an explanation is: one metric, one question. Metrics see models, instances and explanations, never a method."""
