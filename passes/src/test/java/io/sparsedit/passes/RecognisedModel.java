package io.sparsedit.passes;

import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.qk.QkAnalysis;
import io.sparsedit.passes.qk.SizeValues;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.ObjIntConsumer;

/** A model after recognition: its sites and what is known of it, for tests of other packages. */
public final class RecognisedModel {
  private final Compilation compilation;
  private final DataFlow flow;

  private RecognisedModel(Compilation compilation) {
    this.compilation = compilation;
    this.flow = new DataFlow(compilation.model().graph(), compilation.facts());
  }

  /** Recognises the sites of a model, which is changed. */
  public static RecognisedModel of(Model model) {
    Compilation compilation = new Compilation(Path.of("test.onnx"), model, CompileOptions.DEFAULT);
    for (Pass<Compilation> pass : Pipeline.recognition()) {
      pass.run(compilation);
      compilation.graphChanged();
      if (pass instanceof ClassifySites) {
        break;
      }
    }
    return new RecognisedModel(compilation);
  }

  /** Recognition of a model, which is changed and after each pass well formed. */
  static Compilation recognise(Model model) {
    return recognise(model, (pass, changes) -> {});
  }

  /**
   * Recognition of a model, which is changed and after each pass well formed.
   *
   * @param after is told of each pass, and of how much it changed
   */
  static Compilation recognise(Model model, ObjIntConsumer<Pass<Compilation>> after) {
    Compilation compilation =
        new Compilation(Path.of("spelled.onnx"), model, CompileOptions.DEFAULT);
    for (Pass<Compilation> pass : Pipeline.recognition()) {
      int changes = pass.run(compilation);
      compilation.graphChanged();
      GraphVerifier.require(model);
      after.accept(pass, changes);
    }
    return compilation;
  }

  public Model model() {
    return compilation.model();
  }

  public ValueFacts facts() {
    return compilation.facts();
  }

  public QkAnalysis analysis() {
    return FindQkNormRope.analysis(compilation, flow);
  }

  /** The canonical attention nodes. */
  public List<Node> attention() {
    return compilation.sites().stream().map(Site::attention).toList();
  }

  /** The graph inputs that the tokens of a site come from. */
  public Set<Value> content(int site) {
    return FindQkNormRope.content(compilation.sites().get(site));
  }

  /** Sizes as values before a site. */
  public SizeValues sizes(int site) {
    return size -> FuseQkNormRope.size(size, attention().get(site), compilation);
  }
}
