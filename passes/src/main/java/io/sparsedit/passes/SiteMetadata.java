package io.sparsedit.passes;

/** Keys of {@code metadata_props} on the nodes that the compiler makes. */
public final class SiteMetadata {
  /** Name of the site that the node stands for. */
  public static final String SITE = "sparsedit.site";

  private SiteMetadata() {}
}
