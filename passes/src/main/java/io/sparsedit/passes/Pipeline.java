package io.sparsedit.passes;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.pass.PassRecord;
import io.sparsedit.compiler.pass.PassRunner;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.verify.VerificationReport;
import io.sparsedit.passes.verify.Verifier;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The way from an exported model to a bundle: read, recognise, rewrite, verify, write.
 *
 * <pre>
 *   ONNX file          {@link OnnxReader} to the graph of {@code compiler.ir}
 *   recognition()      many spellings of attention to sites with kinds, geometry and a method
 *   rewriting()        dense sites restored, the others made sparse
 *   portable model     {@link Verifier} compares it with the original in ONNX Runtime
 *   bundle             {@link OnnxWriter}, {@link WeightFiles}, {@link BundleDescription}
 *   engine             {@link io.sparsedit.compiler.engine.BuildEngine}, from the bundle: sparse operators
 *                      to plugins, {@link io.sparsedit.compiler.legal.Legalisation} of all else for
 *                      TensorRT's parser, the build in a process of its own
 * </pre>
 *
 * <p>The two lists of passes below are the compiler; everything else is around them.
 */
public final class Pipeline {
  /** From the exporter's graph to sites of which it is known what becomes of them. */
  static List<Pass<Compilation>> recognition() {
    return List.of(
        new InlineFunctions(),
        // Rules compare constants: scales must be numbers before any rule is tried.
        new FoldConstantSubgraphs(),
        new InlineConstantBranches(),
        new SpellOutSequences(),
        new RemoveNeutralNodes(),
        // From many spellings to few.
        new SpellOutEinsum(),
        new SpellOutFusedMatMul(),
        new RecomposeSoftmax(),
        new UnifyRowGuards(),
        new LowerScoreTransposes(),
        new TurnColumnSoftmax(),
        new LowerScoreTransposes(),
        new ComposeTransposes(),
        new TurnTransposedProducts(),
        new ComposeTransposes(),
        new UnflattenSoftmax(),
        new ComposeReshapes(),
        new MoveScaleToQueries(),
        new RecogniseAttention(),
        new MergeChunkedAttention(),
        new NarrowQueriesAndKeys(),
        // The geometry must fit the video tokens of the sites: kinds come first.
        new ClassifySites(),
        new SplitJoinedNorms(),
        new FindQkNormRope(),
        new FindGeometry(),
        new ChooseSites());
  }

  /** From chosen sites to the portable model, with what is wanted to measure it. */
  private static List<Pass<Compilation>> rewriting(Set<Instrument> instruments) {
    List<Pass<Compilation>> passes = new ArrayList<>(recognition());
    passes.add(new RestoreDenseSites());
    passes.add(new MakeRoomForSelectedTokens());
    passes.add(new FuseQkNormRope());
    passes.add(new EmitSparseSites());
    passes.add(new HoldDequantised());
    passes.add(new ExpandMaskRows());
    if (instruments.contains(Instrument.MEASURE_PLANS)) {
      passes.add(new MeasurePlans());
    }
    if (instruments.contains(Instrument.ROUND_ACTIVATIONS)) {
      passes.add(new RoundActivations());
    }
    passes.add(new RemoveDeadNodes());
    passes.add(new KeepOutputNames());
    passes.add(new TellNodesApart());
    return passes;
  }

  private Pipeline() {}

  /** Finds the attention of a model and says what would become of it. */
  public static Inspection inspect(Path file, CompileOptions options, Progress progress) {
    progress.stage("read " + file);
    Compilation compilation = new Compilation(file, OnnxReader.read(file), options);
    return recognise(compilation, recognition(), progress);
  }

  /** Finds the attention of a model, and keeps what is needed to answer questions about it. */
  public static Examination examine(Path file, CompileOptions options, Progress progress) {
    progress.stage("read " + file);
    Compilation compilation = new Compilation(file, OnnxReader.read(file), options);
    Set<String> names = names(compilation.model().graph());
    List<Pass<Compilation>> passes = new ArrayList<>();
    for (Pass<Compilation> pass : recognition()) {
      if (pass instanceof RecogniseAttention) {
        passes.add(new KeepRuleInput());
      }
      passes.add(pass);
    }
    Inspection inspection = recognise(compilation, passes, progress);
    return new Examination(compilation, inspection, compilation.ruleInput().orElseThrow(), names);
  }

  /** Names of all nodes and of the values that they compute. */
  private static Set<String> names(Graph graph) {
    Set<String> names = new LinkedHashSet<>();
    for (Node node : graph.nodes()) {
      names.add(node.name());
      node.outputs().forEach(output -> names.add(output.name()));
    }
    names.remove("");
    return names;
  }

  /**
   * Makes a model's attention sparse and writes a bundle.
   *
   * @param file the exported model
   * @param output the bundle's folder
   * @param options what becomes sparse, and how
   * @param request how the result is verified; if that fails no bundle is written
   * @param weights how external weights get into the bundle
   * @param version the compiler's version
   * @param progress told of each stage
   * @throws SparsifyException if the model is bad, or has nothing to make sparse
   */
  public static CompileResult compile(
      Path file,
      Path output,
      CompileOptions options,
      VerifyRequest request,
      WeightFiles.Mode weights,
      String version,
      Progress progress) {
    Rewritten rewritten = rewrite(file, output, options, Set.of(), progress);
    return verifyAndWrite(rewritten, output, request, weights, version, progress);
  }

  /**
   * The same, with instruments: a bundle to measure the method with, not to be used. It is not
   * verified.
   *
   * @param file the exported model
   * @param output the bundle's folder
   * @param options what becomes sparse, and how
   * @param instruments what is added to the model
   * @param version the compiler's version
   * @param progress told of each stage
   * @throws SparsifyException if the model is bad, or has nothing to make sparse
   */
  public static CompileResult compileInstrumented(
      Path file,
      Path output,
      CompileOptions options,
      Set<Instrument> instruments,
      String version,
      Progress progress) {
    VerifyRequest none = new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty());
    Rewritten rewritten = rewrite(file, output, options, instruments, progress);
    return verifyAndWrite(rewritten, output, none, WeightFiles.Mode.LINK, version, progress);
  }

  /** A model with sparse attention, and what was found in the exported one. */
  private record Rewritten(Compilation compilation, Inspection inspection) {}

  private static Rewritten rewrite(
      Path file,
      Path output,
      CompileOptions options,
      Set<Instrument> instruments,
      Progress progress) {
    BundleFolder.requireReplaceable(output);
    progress.stage("read " + file);
    Compilation compilation = new Compilation(file, OnnxReader.read(file), options);
    requireOpset(compilation);
    WeightFiles.of(compilation.model()).requireOtherNames(BundleDescription.FILES);
    Inspection inspection = recognise(compilation, rewriting(instruments), progress);
    requireSparseSites(inspection);
    return new Rewritten(compilation, inspection);
  }

  private static CompileResult verifyAndWrite(
      Rewritten rewritten,
      Path output,
      VerifyRequest request,
      WeightFiles.Mode weights,
      String version,
      Progress progress) {
    Compilation compilation = rewritten.compilation();
    Model model = compilation.model();
    VerificationReport verification =
        Verifier.verify(
            ExpandMaskRows.in(OnnxReader.read(compilation.file())), model, request, progress);
    List<String> notes = SvgBands.notes(compilation);
    if (!verification.failures().isEmpty()) {
      return new CompileResult(
          rewritten.inspection(), Optional.of(verification), List.of(), false, notes);
    }
    try (BundleFolder bundle = BundleFolder.begin(output)) {
      progress.stage("write " + output);
      List<WeightFiles.Placed> placed = WeightFiles.of(model).placeIn(bundle.folder(), weights);
      OnnxWriter.write(model, bundle.resolve(BundleDescription.MODEL));
      List<String> files =
          new BundleDescription(compilation, rewritten.inspection(), verification, placed)
              .write(bundle, version);
      boolean linked = placed.stream().anyMatch(WeightFiles.Placed::linked);
      return new CompileResult(
          rewritten.inspection(), Optional.of(verification), files, linked, notes);
    }
  }

  /**
   * Measures a bundle against the model it was made from.
   *
   * @throws SparsifyException if the folder is no bundle, or was made from another model
   */
  public static VerificationReport verify(
      Path folder, Path original, VerifyRequest request, Progress progress) {
    CompiledBundle bundle = CompiledBundle.open(folder);
    progress.stage("read " + original);
    bundle.requireMadeFrom(original);
    Model compiled = bundle.model();
    return Verifier.verify(
        ExpandMaskRows.in(OnnxReader.read(original)), compiled, request, progress);
  }

  private static Inspection recognise(
      Compilation compilation, List<Pass<Compilation>> passes, Progress progress) {
    Map<String, Integer> operators = operators(compilation.model());
    PassRunner<Compilation> runner =
        new PassRunner<>(
            passes,
            Compilation::model,
            done -> {
              done.graphChanged();
              if (done.options().checkInvariants()) {
                GraphVerifier.require(done.model());
              }
            });
    progress.stage("find attention");
    List<PassRecord> records;
    try {
      records = runner.run(compilation);
    } catch (SparsifyException e) {
      throw e;
    } catch (RuntimeException e) {
      throw InvalidNodes.blame(compilation.file(), e);
    }
    GraphVerifier.require(compilation.model());
    return new Inspection(
        compilation.file(),
        (compilation.model().producerName() + " " + compilation.model().producerVersion()).strip(),
        compilation.model().opset(),
        operators,
        compilation.sites(),
        compilation.notUnderstood(),
        compilation.geometry(),
        compilation.geometrySource(),
        compilation.jointTokens(),
        compilation.preset(),
        records,
        compilation.trace());
  }

  /** Number of nodes by operator, subgraphs not counted. */
  static Map<String, Integer> operators(Model model) {
    Map<String, Integer> counts = new TreeMap<>();
    for (Node node : model.graph().nodes()) {
      String operator =
          node.domain().isEmpty() ? node.opType() : node.domain() + "." + node.opType();
      counts.merge(operator, 1, Integer::sum);
    }
    return counts;
  }

  private static void requireOpset(Compilation compilation) {
    Model model = compilation.model();
    if (model.opsets().containsKey(SparseOps.DOMAIN)
        || model.functions().stream().anyMatch(f -> f.domain().equals(SparseOps.DOMAIN))) {
      throw SparsifyException.failure(
          compilation.file()
              + " already uses the operator domain '"
              + SparseOps.DOMAIN
              + "': it is a compiled model. Give the model it was made from.");
    }
    long opset = compilation.model().opset();
    if (opset < SparseOps.MIN_OPSET) {
      throw SparsifyException.failure(
          compilation.file()
              + " uses opset "
              + opset
              + ", but sparse attention needs "
              + SparseOps.MIN_OPSET
              + " or later. Export again with opset_version=17 (torch.onnx.export), or convert it"
              + " with onnx.version_converter.");
    }
  }

  private static void requireSparseSites(Inspection inspection) {
    if (inspection.sites().stream().anyMatch(Site::sparsify)) {
      return;
    }
    Map<String, String> open = inspection.notUnderstoodByReason();
    String why =
        Stream.concat(inspection.sitesByReason().entrySet().stream(), open.entrySet().stream())
            .map(reason -> reason.getValue() + ": " + reason.getKey())
            .collect(Collectors.joining("; "));
    throw new SparsifyException(
        SparsifyException.Kind.NOTHING_TO_SPARSIFY,
        inspection.sites().isEmpty()
            ? inspection.file()
                + " has no attention that SparseDiT recognises."
                + (why.isEmpty() ? "" : " " + why + ".")
                + " Nothing to make sparse."
            : "nothing to make sparse in " + inspection.file() + ": " + why + ".");
  }
}
