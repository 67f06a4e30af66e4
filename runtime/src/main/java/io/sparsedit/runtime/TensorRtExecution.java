package io.sparsedit.runtime;

import io.sparsedit.tensorrt.CudaStream;
import io.sparsedit.tensorrt.DeviceMemory;
import io.sparsedit.tensorrt.ExecutionContext;
import io.sparsedit.tensorrt.IoTensor;
import io.sparsedit.tensorrt.PinnedMemory;
import io.sparsedit.tensorrt.TensorRt;
import io.sparsedit.tensorrt.TensorRtException;
import java.lang.System.Logger;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a session holds of an engine: an execution context, a stream, and a place on the GPU and in
 * pinned memory for each of the model's own inputs and outputs that the caller does not have on the
 * GPU itself. Branches share them.
 *
 * <p>All work of a session goes to its one stream, in order.
 */
final class TensorRtExecution implements Backend.Execution {
  private static final Logger LOG = System.getLogger("io.sparsedit.runtime");
  private static final long[] NO_DIMS = {};

  private final Bundle bundle;
  private final List<Bundle.StateTensor> state;
  private final Map<String, IoTensor> tensors;
  private final ExecutionContext context;
  private boolean graphs;
  private final TensorRt tensorRt;
  private final CudaStream stream;
  private final Map<String, Place> places = new LinkedHashMap<>();
  private final Map<String, long[]> inputDims = new LinkedHashMap<>();
  private final Map<String, long[]> outputDims = new LinkedHashMap<>();

  /** Whether outputs are still to follow from the inputs' shapes, also after a step that failed. */
  private boolean shapesChanged = true;

  /** Where the context was told that an input or output lies. */
  private final Map<String, Long> addresses = new LinkedHashMap<>();

  private Optional<LayerNodes> nodes = Optional.empty();
  private List<LayerTime> layerTimes = List.of();

  /** Rises whenever addresses or shapes change: what was recorded before is void. */
  private int generation;

  TensorRtExecution(
      Bundle bundle,
      List<Bundle.StateTensor> state,
      Map<String, IoTensor> tensors,
      ExecutionContext context,
      boolean graphs,
      TensorRt tensorRt) {
    this.bundle = bundle;
    this.state = state;
    this.tensors = tensors;
    this.context = context;
    this.graphs = graphs;
    this.tensorRt = tensorRt;
    this.stream = CudaStream.create();
  }

  /** Memory for one input or output. */
  private static final class Place implements AutoCloseable {
    private final ElementType type;
    private final long[] dims;
    private final DeviceMemory device;
    private final PinnedMemory host;

    Place(ElementType type, long[] dims) {
      this.type = type;
      this.dims = dims.clone();
      this.device = DeviceMemory.allocate(Tensor.byteCount(type, dims));
      try {
        this.host = PinnedMemory.allocate(Tensor.byteCount(type, dims));
      } catch (RuntimeException e) {
        device.close();
        throw e;
      }
    }

    int byteCount() {
      return Tensor.byteCount(type, dims);
    }

    @Override
    public void close() {
      device.close();
      host.close();
    }
  }

  @Override
  public Backend.Branch newBranch() {
    return new TensorRtBranch(this);
  }

  /** The tensors that branches carry from step to step; a dense engine has none. */
  List<Bundle.StateTensor> state() {
    return state;
  }

  CudaStream stream() {
    return stream;
  }

  boolean usesGraphs() {
    return graphs;
  }

  /** From now on steps are enqueued: the engine cannot be recorded. */
  void giveUpGraphs(TensorRtException why) {
    graphs = false;
    LOG.log(
        Logger.Level.WARNING,
        () -> bundle.folder() + " runs without CUDA graphs: " + why.getMessage());
  }

  @Override
  public boolean takesDeviceTensors() {
    return true;
  }

  @Override
  public void timeLayers() {
    if (nodes.isPresent()) {
      return;
    }
    try {
      context.timeLayers();
      nodes = Optional.of(LayerNodes.read(context.layers()));
    } catch (TensorRtException e) {
      throw TensorRtBackend.failed(e);
    }
    graphs = false;
    generation++;
  }

  @Override
  public List<LayerTime> layerTimes() {
    return layerTimes;
  }

  /** Takes the layers' times of a step that is done. */
  void takeLayerTimes() {
    nodes.ifPresent(known -> layerTimes = known.times(context.takeLayerTimes()));
  }

  int generation() {
    return generation;
  }

  boolean has(String tensor) {
    return tensors.containsKey(tensor);
  }

  /** Says where a state tensor lies in the next run. */
  void setMemory(String tensor, DeviceMemory memory) {
    if (has(tensor)) {
      context.setMemory(tensor, memory);
    }
  }

  /**
   * Makes the context fit the shapes of a step, and tells it where inputs and outputs lie.
   *
   * @throws TensorRtException if the engine was not built for the shapes, or memory does not
   *     suffice
   */
  void prepare(Backend.Step step) {
    step.inputs().forEach((name, tensor) -> setDims(name, tensor.dims()));
    if (bundle.actionInput().isPresent()) {
      setDims(bundle.actionInput().get(), step.actions().size());
    }
    for (Bundle.StateTensor tensor : state) {
      setDims(tensor.input(), stateDims(tensor, step.dims()));
    }
    if (shapesChanged) {
      generation++;
      bundle.outputs().keySet().forEach(name -> outputDims.put(name, shape(name)));
      shapesChanged = false;
    }
    step.inputs().forEach(this::bindInput);
    if (bundle.actionInput().isPresent()) {
      bindPlace(bundle.actionInput().get(), ElementType.I32, step.actions().size());
    }
    bundle.outputs().forEach((name, type) -> bindOutput(name, type, step));
  }

  static long[] stateDims(Bundle.StateTensor tensor, Dims dims) {
    return dims.resolve(tensor.type())
        .orElseThrow(() -> new IllegalStateException("unresolved: " + tensor));
  }

  private void setDims(String input, long... dims) {
    if (has(input) && !Arrays.equals(inputDims.get(input), dims)) {
      shapesChanged = true;
      context.setInputShape(input, dims);
      inputDims.put(input, dims);
    }
  }

  private long[] shape(String output) {
    long[] dims = context.shape(output);
    if (Arrays.stream(dims).anyMatch(dim -> dim < 0)) {
      throw new BackendException(
          BackendException.Reason.RUN_FAILED,
          "the shape of the output "
              + output
              + " follows from data, which this runtime does not support on TensorRT");
    }
    return dims;
  }

  private void bindInput(String name, Tensor tensor) {
    if (tensor.isOnDevice()) {
      bind(name, tensor.deviceAddress());
    } else {
      bindPlace(name, tensor.type(), tensor.dims());
    }
  }

  private void bindOutput(String name, TensorType type, Backend.Step step) {
    long[] dims = outputDims.getOrDefault(name, NO_DIMS);
    Tensor wanted = step.outputs().get(name);
    if (wanted != null && wanted.isOnDevice()) {
      if (!Arrays.equals(wanted.dims(), dims)) {
        throw unlike(name, Tensor.describe(type.element(), dims), wanted);
      }
      bind(name, wanted.deviceAddress());
    } else {
      bindPlace(name, type.element(), dims);
    }
  }

  /** Memory of our own for a tensor, where the context looks for it. */
  private void bindPlace(String name, ElementType type, long... dims) {
    if (!has(name)) {
      return;
    }
    Place there = places.get(name);
    if (there == null || !Arrays.equals(there.dims, dims)) {
      Place place = new Place(type, dims);
      places.put(name, place);
      if (there != null) {
        there.close();
      }
      // Never taken for the old one, whose address the new one may have.
      addresses.remove(name);
    }
    bind(name, requirePlace(name).device.address());
  }

  private void bind(String name, long address) {
    if (has(name) && !Long.valueOf(address).equals(addresses.get(name))) {
      context.setMemory(name, address);
      addresses.put(name, address);
      generation++;
    }
  }

  /** Enqueues the copies of inputs and actions to the GPU. */
  void upload(Backend.Step step) {
    step.inputs().forEach((name, tensor) -> upload(name, tensor));
    if (bundle.actionInput().isPresent()) {
      int[] codes = step.actions().stream().mapToInt(Action::code).toArray();
      upload(bundle.actionInput().get(), Tensor.ofInts(new long[] {codes.length}, codes));
    }
  }

  private void upload(String name, Tensor tensor) {
    Place place = places.get(name);
    if (place != null && !tensor.isOnDevice()) {
      ByteBuffer host = place.host.bytes();
      ByteBuffer source = tensor.bytes();
      int bytes = source.remaining();
      host.put(source);
      place.device.copyFrom(place.host.bytes(), bytes, stream);
    }
  }

  void enqueue() {
    context.enqueue(stream);
  }

  /** Enqueues the copies of the outputs that the step wants. */
  void download(Backend.Step step) {
    for (String name : bundle.outputs().keySet()) {
      Tensor wanted = step.outputs().get(name);
      boolean host = wanted != null && !wanted.isOnDevice();
      if (host || step.allocate().contains(name)) {
        Place place = requirePlace(name);
        place.device.copyTo(place.host.bytes(), place.byteCount(), stream);
      }
    }
  }

  /** Waits for all that was enqueued. */
  void synchronize() {
    stream.synchronize();
  }

  /** Hands over the outputs that were downloaded. */
  Map<String, Tensor> take(Backend.Step step) {
    step.outputs().forEach(this::copyOutput);
    Map<String, Tensor> allocated = new LinkedHashMap<>();
    for (String name : step.allocate()) {
      Place place = requirePlace(name);
      Tensor tensor = Tensor.allocate(place.type, place.dims);
      copyOutput(name, tensor);
      allocated.put(name, tensor);
    }
    return allocated;
  }

  private void copyOutput(String name, Tensor tensor) {
    if (tensor.isOnDevice()) {
      return;
    }
    Place place = requirePlace(name);
    int bytes = place.byteCount();
    if (tensor.bytes().remaining() != bytes) {
      throw unlike(name, Tensor.describe(place.type, place.dims), tensor);
    }
    tensor.bytes().put(place.host.bytes().limit(bytes));
  }

  private static BackendException unlike(String output, String given, Tensor wanted) {
    return new BackendException(
        BackendException.Reason.RUN_FAILED,
        "the engine gives " + output + " as " + given + ", not " + wanted);
  }

  private Place requirePlace(String name) {
    Place place = places.get(name);
    if (place == null) {
      throw new IllegalStateException("no memory for " + name);
    }
    return place;
  }

  void log() {
    TensorRtBackend.log(tensorRt);
  }

  @Override
  public void close() {
    context.close();
    places.values().forEach(Place::close);
    places.clear();
    stream.close();
  }
}
