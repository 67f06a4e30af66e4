package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.Selection;
import io.sparsedit.passes.functions.Svg2Plan;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * Settings of SVG2 (arXiv 2505.18875) as the published scripts name them.
 *
 * @param selection which key clusters are kept: by attention mass, or by a density
 * @param minKept fraction of the key clusters that is kept in any case
 * @param clusters query and key clusters, or empty for the defaults by token count
 * @param iterations k-means iterations from warm centroids
 * @param initIterations k-means iterations from initial centroids
 * @param compensate whether each skipped key cluster is represented by its centroid
 */
public record Svg2Settings(
    Selection selection,
    float minKept,
    Optional<Clusters> clusters,
    int iterations,
    int initIterations,
    boolean compensate)
    implements MethodSettings {

  /** The published settings: top-p 0.9, 10 % of the clusters at least, 2 and 50 iterations. */
  public static final Svg2Settings PUBLISHED =
      new Svg2Settings(new Selection.TopP(0.9f), 0.1f, Optional.empty(), 2, 50, false);

  /**
   * What holds where nothing is said: a density of 0.25, skipped clusters represented by their
   * means. It is nearer to dense than the published settings at equal density (docs/quality.md).
   */
  public static final Svg2Settings DEFAULT =
      new Svg2Settings(
          new Selection.Budget(0.25f, Selection.Ranking.MASS), 0, Optional.empty(), 2, 50, true);

  public Svg2Settings {
    // "not at least" also rejects NaN.
    if (!(minKept >= 0 && minKept <= 1)) {
      throw SparsifyException.usage("--min-kept must be from 0 to 1, not " + minKept);
    }
    if (iterations < 1 || initIterations < 1) {
      throw SparsifyException.usage("k-means needs at least one iteration");
    }
  }

  /**
   * By attention mass.
   *
   * @throws SparsifyException if it is not above 0
   */
  public static Selection topP(float mass) {
    if (!(mass > 0) || Float.isInfinite(mass)) {
      throw SparsifyException.usage("--top-p must be above 0, not " + mass);
    }
    return new Selection.TopP(mass);
  }

  /**
   * By a density.
   *
   * @throws SparsifyException if it is not above 0 and at most 1
   */
  public static Selection budget(float density, Selection.Ranking ranking) {
    MethodSettings.requireDensity(density);
    return new Selection.Budget(density, ranking);
  }

  /**
   * Numbers of clusters, per head.
   *
   * @param query query clusters
   * @param key key clusters
   */
  public record Clusters(int query, int key) {
    public Clusters {
      if (query < 1 || key < 1) {
        throw SparsifyException.usage("--clusters must be positive, not " + query + "," + key);
      }
      if (query > MOST_TOKENS || key > MOST_TOKENS) {
        throw SparsifyException.usage(
            "--clusters must be at most " + MOST_TOKENS + " each, not " + query + "," + key);
      }
    }

    /**
     * The numbers that a user spells as {@code 300,1000}.
     *
     * @throws SparsifyException if it is spelt otherwise
     */
    public static Clusters parse(String spelling) {
      String[] parts = spelling.split(",", -1);
      try {
        if (parts.length == 2) {
          return new Clusters(Integer.parseInt(parts[0].trim()), Integer.parseInt(parts[1].trim()));
        }
      } catch (NumberFormatException e) {
        throw new SparsifyException(SparsifyException.Kind.USAGE, misspelt(spelling), e);
      }
      throw SparsifyException.usage(misspelt(spelling));
    }

    private static String misspelt(String spelling) {
      return "--clusters takes QUERY,KEY, such as 300,1000, not '" + spelling + "'";
    }

    /**
     * Of a long video about as many as the published scripts take for Wan at 720p: one query
     * cluster for 256 tokens, one key cluster for 64, at most 400 and 1000. Of a shorter one the
     * 100 and 500 of the paper's Table 1, and of one still shorter a query cluster for 64 tokens
     * and a key cluster for 16; at least 2 and 8.
     */
    public static Clusters defaultFor(long tokens) {
      return new Clusters(count(tokens, 256, 64, 100, 2, 400), count(tokens, 64, 16, 500, 8, 1000));
    }

    private static int count(long tokens, int large, int small, int enough, int least, int most) {
      long clusters = Math.max(tokens / large, Math.min(tokens / small, enough));
      return (int) Math.min(most, Math.max(least, clusters));
    }
  }

  /**
   * Numbers of k-means iterations.
   *
   * @param warm from the last plan's centroids
   * @param cold from the beginning
   */
  public record Iterations(int warm, int cold) {
    /**
     * The numbers that a user spells as {@code 2,50}.
     *
     * @throws SparsifyException if it is spelt otherwise
     */
    public static Iterations parse(String spelling) {
      if (!spelling.matches("[1-9]\\d{0,5},[1-9]\\d{0,5}")) {
        throw SparsifyException.usage(
            "--kmeans-iterations takes WARM,COLD, such as 2,50, not '" + spelling + "'");
      }
      String[] parts = spelling.split(",", -1);
      return new Iterations(Integer.parseInt(parts[0]), Integer.parseInt(parts[1]));
    }
  }

  /** The clusters of a site with so many tokens. */
  public Clusters clustersFor(long tokens) {
    return clusters.orElseGet(() -> Clusters.defaultFor(tokens));
  }

  @Override
  public Method method() {
    return Method.SVG2;
  }

  @Override
  public Planner planner(PlannedSite site) {
    Clusters count = clustersFor(site.videoTokens());
    return new Svg2Plan(
        site.index(),
        site.layout(),
        site.scale(),
        count.query(),
        count.key(),
        selection,
        minKept,
        iterations,
        initIterations,
        site.text(),
        site.keepsPlan());
  }

  /** The settings that a plan gives; those that it does not name are the defaults. */
  static Svg2Settings read(PlanObject plan) {
    OptionalInt query = plan.integer("queryClusters", 1);
    OptionalInt key = plan.integer("keyClusters", 1);
    if (query.isPresent() != key.isPresent()) {
      throw plan.error("give both queryClusters and keyClusters, or neither");
    }
    Selection selection = selection(plan);
    float leastKept = selection instanceof Selection.Budget ? 0 : PUBLISHED.minKept;
    return new Svg2Settings(
        selection,
        (float)
            plan.number("minKept", "a number from 0 to 1", f -> f >= 0 && f <= 1).orElse(leastKept),
        query.isPresent()
            ? Optional.of(new Clusters(query.getAsInt(), key.getAsInt()))
            : Optional.empty(),
        plan.integer("iterations", 1).orElse(DEFAULT.iterations),
        plan.integer("initIterations", 1).orElse(DEFAULT.initIterations),
        plan.flag("compensate").orElse(DEFAULT.compensate));
  }

  private static Selection selection(PlanObject plan) {
    OptionalDouble mass = plan.number("topP", "a number above 0", p -> p > 0);
    OptionalDouble density = MethodSettings.density(plan);
    Optional<Selection.Ranking> ranking =
        plan.text("ranking")
            .map(
                name ->
                    Selection.Ranking.of(name)
                        .orElseThrow(
                            () ->
                                plan.error(
                                    "'ranking' must be mass or mass-per-token, not '"
                                        + name
                                        + "'")));
    if (density.isEmpty() && ranking.isPresent()) {
      throw plan.missing("density", "for which there is a ranking");
    }
    if (density.isPresent() && mass.isPresent()) {
      throw plan.error("give either topP or density: each decides what is kept");
    }
    if (density.isPresent()) {
      return new Selection.Budget(
          (float) density.getAsDouble(), ranking.orElse(Selection.Ranking.MASS));
    }
    return mass.isPresent() ? new Selection.TopP((float) mass.getAsDouble()) : DEFAULT.selection;
  }

  @Override
  public SiteSchedule schedule(ScheduleOptions options, Preset preset) {
    return options.periodic(preset, preset.planDuringWarmup());
  }

  @Override
  public double denseLayers(Preset preset) {
    return preset.denseLayers();
  }

  @Override
  public ObjectNode describe(PlannedSite site) {
    Clusters count = clustersFor(site.videoTokens());
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    if (selection instanceof Selection.TopP mass) {
      json.put("topP", MethodSettings.rounded(mass.topP()));
    } else if (selection instanceof Selection.Budget budget) {
      json.put("density", MethodSettings.rounded(budget.density()));
      json.put("ranking", budget.ranking().label());
    }
    return json.put("minKept", MethodSettings.rounded(minKept))
        .put("queryClusters", count.query())
        .put("keyClusters", count.key())
        .put("iterations", iterations)
        .put("initIterations", initIterations)
        .put("compensate", compensate);
  }
}
