package io.sparsedit.passes.functions;

/** Names that the portable functions, the emitting passes, bundles and plugins agree on. */
public final class SparseOps {
  /** Domain of the operators. */
  public static final String DOMAIN = "sparsedit";

  /** Version of {@link #DOMAIN} that a model imports. */
  public static final long VERSION = 1;

  /** Value of {@link #PLUGIN_NAMESPACE}. */
  public static final String PLUGIN_NAMESPACE_VALUE = "sparsedit";

  /** Value of {@link #PLUGIN_VERSION}. */
  public static final String PLUGIN_VERSION_VALUE = "1";

  /** The oldest default-domain opset that function bodies can use. */
  public static final long MIN_OPSET = 16;

  /** The oldest IR version with function overloads; a model that calls one declares at least it. */
  public static final long MIN_IR_VERSION = 10;

  // Attributes of every operator.

  /** INT: index of the site in {@code action} and in the names of its state. */
  public static final String SITE = "site";

  /** STRING: namespace of the TensorRT plugin. */
  public static final String PLUGIN_NAMESPACE = "plugin_namespace";

  /** STRING: version of the TensorRT plugin. */
  public static final String PLUGIN_VERSION = "plugin_version";

  /** STRING: a {@link Layout}'s name. */
  public static final String LAYOUT = "layout";

  /** FLOAT: what QK^T is multiplied with. */
  public static final String SCALE = "scale";

  // Tensors.

  /** The queries. */
  public static final String Q = "q";

  /** The keys. */
  public static final String K = "k";

  /** The values. */
  public static final String V = "v";

  /** The attention's output. */
  public static final String O = "o";

  /** i32 {@code [sites]}: an {@link ActionCode} for each site. */
  public static final String ACTION = "action";

  /** i32 {@code [3]}: frames, height and width of the video tokens. */
  public static final String GEOMETRY = "geometry";

  /** f32 {@code [B,1,1,S]}: additive bias of each key. */
  public static final String KEY_BIAS = "key_bias";

  /** i32 {@code [B,H,S]}, or {@code [B,H,0]} for natural order: query position to token. */
  public static final String QUERY_ORDER = "query_order";

  /** i32 {@code [B,H,S]}, or {@code [B,H,0]} for natural order: key position to token. */
  public static final String KEY_ORDER = "key_order";

  /** i32 {@code [B,H,Nq+1]}: where each query segment starts. */
  public static final String QUERY_OFFSETS = "query_offsets";

  /** i32 {@code [B,H,Nk+1]}: where each key segment starts. */
  public static final String KEY_OFFSETS = "key_offsets";

  /** i32 {@code [B,H,Nq,ceil(Nk/32)]}: which key segments a query segment visits, LSB first. */
  public static final String KEEP = "keep";

  private SparseOps() {}
}
