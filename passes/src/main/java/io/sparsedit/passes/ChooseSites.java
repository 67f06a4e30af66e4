package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Decides which sites become sparse, and by which method.
 *
 * <p>A plan decides for the sites that it names. Of the others self-attention and joint attention
 * do, unless the user keeps the layer dense or the method cannot honour what the site does; then
 * the reason says so.
 */
final class ChooseSites implements Pass<Compilation> {
  @Override
  public String name() {
    return "choose sites";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CLASSIFIED);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.SITES_CHOSEN);
  }

  @Override
  public int run(Compilation compilation) {
    int layerCount = (int) compilation.sites().stream().filter(s -> isLayer(s.kind())).count();
    compilation.options().denseLayers().requireWithin(layerCount);
    Optional<SitePlan> plan = compilation.options().plan();
    plan.ifPresent(p -> p.requireKnown(compilation.sites()));
    MethodSettings method = compilation.options().method();
    double published = method.denseLayers(compilation.preset());
    List<Site> decided = new ArrayList<>();
    int layer = 0;
    for (Site site : compilation.sites()) {
      Optional<String> obstacle =
          obstacle(site, compilation)
              .or(() -> DenseOnly.why(site.attention(), compilation.model().graph()));
      Optional<SitePlan.Choice> choice = plan.flatMap(p -> p.of(site));
      if (choice.isEmpty()
          && obstacle.isEmpty()
          && compilation.options().denseLayers().contains(layer, layerCount, published)) {
        obstacle = Optional.of("layer " + layer + " stays dense by --dense-layers");
      }
      if (isLayer(site.kind())) {
        layer++;
      }
      decided.add(
          choice.isPresent()
              ? plan.orElseThrow().apply(choice.get(), site, obstacle, method)
              : obstacle.map(site::leftDense).orElseGet(() -> site.chosen(method)));
    }
    compilation.setSites(decided);
    return (int) decided.stream().filter(Site::sparsify).count();
  }

  private static boolean isLayer(SiteKind kind) {
    return kind == SiteKind.SELF || kind == SiteKind.JOINT;
  }

  private static Optional<String> obstacle(Site site, Compilation compilation) {
    return switch (site.kind()) {
      case CROSS -> Optional.of("cross-attention stays dense");
      case TEXT -> Optional.of("attention among text tokens stays dense");
      case JOINT ->
          obstacleOfText(site)
              .or(() -> obstacleOfGeometry(site, compilation))
              .or(() -> obstacleOfTensors(site, compilation))
              .or(() -> obstacleOfSizes(site, compilation));
      case SELF ->
          obstacleOfGeometry(site, compilation)
              .or(() -> obstacleOfTensors(site, compilation))
              .or(() -> obstacleOfSizes(site, compilation));
    };
  }

  /** Why text is not one segment. */
  private static Optional<String> obstacleOfText(Site site) {
    if (!site.tokens().isKnown()) {
      return Optional.of(
          "the graph does not tell which of its "
              + site.shape().queryTokens()
              + " tokens are text: pass --text N,first or --text N,last");
    }
    return site.tokens().textPosition().isPresent()
        ? Optional.empty()
        : Optional.of(
            "its text tokens are not one run at an end of the sequence (" + site.tokens() + ")");
  }

  /** Why it is not known which token is where in the video. */
  private static Optional<String> obstacleOfGeometry(Site site, Compilation compilation) {
    Dim tokens = site.tokens().hasVideo() ? site.tokens().video() : site.shape().queryTokens();
    Optional<VideoGeometry> video = compilation.geometry();
    if (video.isEmpty()) {
      return Optional.of(
          "the graph does not tell how its "
              + tokens
              + " video tokens make a video: pass --video FRAMESxHEIGHTxWIDTH, latent frames x"
              + " token rows x token columns, whose product is "
              + tokens);
    }
    if (!AxisMap.mayEqual(video.get().tokens(), tokens)) {
      return Optional.of(
          "it attends over "
              + tokens
              + (tokens.is(1) ? " token" : " tokens")
              + ", not over the whole video of "
              + video.get()
              + " = "
              + video.get().tokens()
              + " tokens");
    }
    List<Dim> hidden =
        GeometryTensor.notComputable(video.get(), site.attention(), compilation.facts());
    return hidden.isEmpty()
        ? Optional.empty()
        : Optional.of("the graph does not compute the video's extent " + hidden + " by itself");
  }

  /** Why its state has no size before the model runs. */
  private static Optional<String> obstacleOfSizes(Site site, Compilation compilation) {
    Set<String> given = new HashSet<>();
    for (Value input : compilation.model().graph().inputs()) {
      compilation
          .facts()
          .shape(input)
          .ifPresent(shape -> shape.forEach(dim -> given.addAll(dim.symbols())));
    }
    Dim tokens = site.shape().queryTokens();
    Dim batch = site.shape().batch();
    if (!given.containsAll(batch.symbols())) {
      return Optional.of("its batch, " + batch + ", does not follow from the inputs' shapes");
    }
    if (given.containsAll(tokens.symbols())
        || SelectedTokens.of(site, compilation.facts()).isPresent()) {
      return Optional.empty();
    }
    return Optional.of(
        "the number of its tokens, "
            + tokens
            + ", does not follow from the inputs' shapes: export the model with a mask of keys in"
            + " place of tokens picked out by what a mask holds");
  }

  /** Why the operators cannot take its q, k, v and mask. */
  private static Optional<String> obstacleOfTensors(Site site, Compilation compilation) {
    Optional<String> ofMask = KeyMask.of(site, compilation.facts()).flatMap(KeyMask::obstacle);
    if (ofMask.isPresent()) {
      return ofMask;
    }
    Dim headDim = site.shape().headDim();
    Optional<List<Dim>> value = compilation.facts().shape(site.value());
    if (value.isPresent() && !value.get().get(value.get().size() - 1).equals(headDim)) {
      return Optional.of(
          "the head dimension of v ("
              + value.get().get(value.get().size() - 1)
              + ") is not that of q ("
              + headDim
              + ")");
    }
    OptionalLong dim = headDim.constant();
    OptionalLong heads = site.shape().heads().constant();
    if (dim.isEmpty() || heads.isEmpty()) {
      return Optional.of(
          "the number of heads ("
              + site.shape().heads()
              + ") or the head dimension ("
              + headDim
              + ") is not fixed");
    }
    if (site.elementType() != DataType.FLOAT
        && site.elementType() != DataType.FLOAT16
        && site.elementType() != DataType.BFLOAT16) {
      return Optional.of(
          "element type " + site.elementType().shortName() + " has no sparse attention");
    }
    return Optional.empty();
  }
}
