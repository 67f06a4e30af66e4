package io.sparsedit.passes;

import io.sparsedit.compiler.pass.Property;

/** What the passes establish for one another. */
enum Established implements Property {
  /** Constant subgraphs are initializers. */
  CONSTANTS_FOLDED,
  /** Every site has a canonical attention node beside its original nodes. */
  SITES_RECOGNISED,
  /** Frames, height and width of the video are known, or it is known that they are not. */
  GEOMETRY_FOUND,
  /** Every site has a kind. */
  SITES_CLASSIFIED,
  /** For every site it is decided whether it becomes sparse, with the reason. */
  SITES_CHOSEN,
  /** Chosen sites are planner and attention nodes; the others are as the exporter wrote them. */
  SITES_EMITTED
}
