package io.sparsedit.passes;

/** Keys of {@code metadata_props} on the nodes that the compiler makes. */
public final class SiteMetadata {
  /** Name of the site that the node stands for. */
  public static final String SITE = "sparsedit.site";

  /** The rule that recognised the site. */
  public static final String RULE = "sparsedit.rule";

  private SiteMetadata() {}
}
