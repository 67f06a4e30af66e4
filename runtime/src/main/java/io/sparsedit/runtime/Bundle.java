package io.sparsedit.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What {@code sparsify-model compile} left in a folder, as its {@code bundle.json} describes it.
 *
 * <p>Opening a bundle reads {@code bundle.json} and looks at the other files' sizes; it loads no
 * model and needs no engine. Immutable.
 */
public final class Bundle {
  static final String DESCRIPTION_FILE = "bundle.json";

  private static final String COPY = "copy the whole folder that sparsify-model compile wrote";

  /** The newest {@code schemaVersion} that this runtime reads. */
  static final int SCHEMA_VERSION = 2;

  /**
   * A site whose attention was made sparse.
   *
   * @param index its place in the schedule
   * @param id where it is in the model, as in {@code blocks.0.attn1}
   * @param kind {@code self} or {@code joint}
   * @param heads number of heads
   * @param headDim elements of a head
   * @param tokens query tokens
   * @param method name of its sparse-attention method
   * @param rule how its actions follow from the steps unless a {@link Schedule} says otherwise
   * @param planInState whether its state holds its plan, so that later steps can re-use it
   */
  public record Site(
      int index,
      String id,
      String kind,
      Dim heads,
      Dim headDim,
      Dim tokens,
      String method,
      Rule rule,
      boolean planInState) {}

  /**
   * A tensor that a session carries from step to step.
   *
   * @param site index of the site it belongs to
   * @param name its name within the site, as in {@code q_centroids}
   * @param input the model input that takes it
   * @param output the model output that gives the next one
   * @param type element type and dimensions
   */
  public record StateTensor(int site, String name, String input, String output, TensorType type) {}

  /** A weight file and its size in bytes. */
  record WeightFile(String file, long bytes) {}

  /**
   * A TensorRT engine.
   *
   * @param file the engine, which holds the weights too
   * @param bytes its size, if the bundle says it
   * @param sha256 its sum
   * @param modelSha256 the sum of the portable model that it was built of
   * @param pluginFile the plugin library that it was built with
   * @param pluginSha256 its sum
   * @param tensorRt the version of TensorRT, as in {@code 10.6.0}
   * @param gpu the GPU that it was built on
   * @param computeCapability that of the GPU, as in {@code 9.0}
   * @param options how it was built
   */
  record EngineFile(
      String file,
      Optional<Long> bytes,
      String sha256,
      String modelSha256,
      String pluginFile,
      String pluginSha256,
      String tensorRt,
      String gpu,
      String computeCapability,
      Rebuild.Options options) {}

  private final Path folder;
  private final BundleReader.Content content;

  private Bundle(Path folder, BundleReader.Content content) {
    this.folder = folder;
    this.content = content;
  }

  /**
   * Reads and checks the description of a bundle, and that its files are there in the size it says.
   *
   * @param folder the folder that the compiler wrote
   * @throws BundleException if it is not such a folder, or not complete
   */
  public static Bundle open(Path folder) {
    Bundle bundle = describe(folder);
    bundle.checkFile(bundle.content.modelFile(), Optional.empty(), COPY);
    for (WeightFile weights : bundle.content.weights()) {
      bundle.checkFile(weights.file(), Optional.of(weights.bytes()), COPY);
    }
    return bundle;
  }

  /**
   * Reads and checks the description of a bundle of which an engine is to run: neither the portable
   * model nor its weights need be there.
   *
   * @throws BundleException if it is not such a folder
   */
  static Bundle describe(Path folder) {
    Path description = folder.resolve(DESCRIPTION_FILE);
    if (!Files.isRegularFile(description)) {
      throw new BundleException(
          BundleException.Reason.NOT_FOUND,
          folder
              + " is not a bundle: it has no "
              + DESCRIPTION_FILE
              + "; give the folder that sparsify-model compile wrote");
    }
    return new Bundle(folder, BundleReader.read(description));
  }

  private void checkFile(String file, Optional<Long> bytes, String remedy) {
    Path path = folder.resolve(file);
    if (!Files.isRegularFile(path)) {
      throw new BundleException(
          BundleException.Reason.FILE_MISSING, path + " is missing; " + remedy);
    }
    try {
      long size = Files.size(path);
      if (bytes.isPresent() && bytes.get() != size) {
        throw new BundleException(
            BundleException.Reason.FILE_CHANGED,
            path
                + " has "
                + size
                + " bytes, the bundle was written with "
                + bytes.get()
                + "; "
                + remedy);
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /**
   * Checks that the model file is the one that the compiler wrote, by its SHA-256. Reads all of
   * that file, but no weights outside of it.
   *
   * @throws BundleException if it is not
   */
  public void checkModelHash() {
    checkHash(modelPath(), content.modelSha256(), COPY + ", or compile it again");
  }

  /**
   * Checks that an engine is there, and is the one that was built.
   *
   * @param checkHash whether its content is compared, which costs one reading of it
   * @throws BundleException if it is not
   */
  void checkEngine(EngineFile engine, boolean checkHash) {
    checkFile(engine.file(), engine.bytes(), copyOrBuild(engine));
    if (checkHash) {
      checkHash(folder.resolve(engine.file()), engine.sha256(), copyOrBuild(engine));
    }
  }

  /**
   * Checks that the plugin library of an engine is there, and is the one that it was built with.
   *
   * @param checkHash whether its content is compared, which costs one reading of it
   * @throws BundleException if it is not
   */
  void checkPlugins(EngineFile engine, boolean checkHash) {
    checkFile(engine.pluginFile(), Optional.empty(), copyOrBuild(engine));
    if (checkHash) {
      checkHash(folder.resolve(engine.pluginFile()), engine.pluginSha256(), copyOrBuild(engine));
    }
  }

  private String copyOrBuild(EngineFile engine) {
    return COPY + ", or build the engine again: " + Rebuild.command(this, engine);
  }

  /**
   * Checks that an engine, where it is there, has the size that it was built with: an engine that
   * was not copied to its end is told of before anything is loaded.
   *
   * @throws BundleException if it has not
   */
  void checkEngineSize(EngineFile engine) {
    if (Files.isRegularFile(folder.resolve(engine.file()))) {
      checkFile(engine.file(), engine.bytes(), copyOrBuild(engine));
    }
  }

  private static void checkHash(Path file, String expected, String remedy) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
    try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
      in.transferTo(OutputStream.nullOutputStream());
    } catch (IOException e) {
      throw unreadable(file, e);
    }
    String actual = HexFormat.of().formatHex(digest.digest());
    if (!actual.equalsIgnoreCase(expected)) {
      throw new BundleException(
          BundleException.Reason.FILE_CHANGED,
          file
              + " is not the file that the compiler wrote: its SHA-256 is "
              + actual
              + ", the bundle says "
              + expected
              + "; "
              + remedy);
    }
  }

  /** The folder. */
  public Path folder() {
    return folder;
  }

  /** The compiler's name and version, as in {@code SparseDiT 0.1.0}. */
  public String compiler() {
    return content.compiler();
  }

  /** Name of the sparse-attention method: svg, svg2, adaspa, or mixed where sites differ. */
  public String method() {
    return content.method();
  }

  /** The sparse sites, by index. */
  public List<Site> sites() {
    return content.sites();
  }

  /** The model's own inputs by name, in the model's order: what a run needs. */
  public Map<String, TensorType> inputs() {
    return content.inputs();
  }

  /**
   * The length of the table in which an input of integers is looked up, so that its elements must
   * be from 0 to one below; empty where the graph tells of none.
   */
  public OptionalLong tableLength(String input) {
    Long length = content.tableLengths().get(input);
    return length == null ? OptionalLong.empty() : OptionalLong.of(length);
  }

  /** The model's own outputs by name, in the model's order: what a run can give. */
  public Map<String, TensorType> outputs() {
    return content.outputs();
  }

  /** The tensors that a session carries from step to step. */
  public List<StateTensor> state() {
    return content.state();
  }

  /** The number of denoising steps that the bundle was compiled for. */
  public int defaultSteps() {
    return content.steps();
  }

  /** How actions follow from steps, for sites that have no rule of their own. */
  public Rule defaultRule() {
    return content.rule();
  }

  /** Whether the plan of a site is part of its state, so that later steps can re-use it. */
  public boolean keepsPlan(int site) {
    return sites().get(site).planInState();
  }

  /** Name of the input that takes the action codes, i32[sites]; empty if there is no site. */
  Optional<String> actionInput() {
    return content.actionInput();
  }

  /** The TensorRT engines that were built of the portable model. */
  List<EngineFile> engines() {
    return content.engines();
  }

  /** TensorRT engines of the same model in which every site is dense. */
  List<EngineFile> denseEngines() {
    return content.denseEngines();
  }

  /** Whether there are dense engines, for comparison: {@code sparsify-model build --dense}. */
  public boolean hasDenseEngine() {
    return !content.denseEngines().isEmpty();
  }

  /** The sum of the portable model, as the compiler noted it. */
  String modelSha256() {
    return content.modelSha256();
  }

  /** The portable model; where an engine alone was delivered it need not be there. */
  public Path modelPath() {
    return folder.resolve(content.modelFile());
  }

  private static BundleException unreadable(Path file, IOException cause) {
    return new BundleException(
        BundleException.Reason.FILE_MISSING,
        file
            + " cannot be read: "
            + (cause instanceof AccessDeniedException ? "permission denied" : cause.getMessage()),
        cause);
  }

  /** Folder, method and number of sites. */
  @Override
  public String toString() {
    return folder + " (" + method() + ", " + sites().size() + " sites, " + compiler() + ")";
  }
}
