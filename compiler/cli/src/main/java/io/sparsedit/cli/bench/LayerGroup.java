package io.sparsedit.cli.bench;

/** What layers do, as far as sparse attention is concerned. */
enum LayerGroup {
  PLANNER("planner", "planners of the sparse sites"),
  ATTENTION("attention", "attention of the sparse sites"),
  QK_PREPARATION("qkPreparation", "QK-norm and RoPE of the sparse sites"),
  OTHER_ATTENTION("otherAttention", "other attention"),
  MATMUL("matmul", "matrix products and convolutions"),
  ELEMENTWISE("elementwise", "norms and element-wise operators"),
  COPY("copy", "copies and reformats"),
  OTHER("other", "not told by the engine");

  private final String key;
  private final String label;

  LayerGroup(String key, String label) {
    this.key = key;
    this.label = label;
  }

  /** Its name in JSON. */
  String key() {
    return key;
  }

  /** Its name in text. */
  String label() {
    return label;
  }
}
