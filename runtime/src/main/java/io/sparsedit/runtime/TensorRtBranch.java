package io.sparsedit.runtime;

import io.sparsedit.tensorrt.CudaGraph;
import io.sparsedit.tensorrt.DeviceMemory;
import io.sparsedit.tensorrt.TensorRtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The state of a CFG branch on the GPU: two sets, of which a step reads one and writes the other.
 *
 * <p>What a step does is read by the kernels from {@code action}, so one recording of a step serves
 * all steps. There are two, for the two directions in which the sets are used; a direction is
 * recorded at its second run, for TensorRT prepares itself in the first.
 */
final class TensorRtBranch implements Backend.Branch {
  private static final int SETS = 2;

  private final TensorRtExecution execution;
  private final List<Direction> directions = List.of(new Direction(), new Direction());
  private List<DeviceMemory> memory = List.of();
  private List<long[]> dims = List.of();
  private int current;
  private boolean zero = true;

  /** How often a direction was run as it is now, and its recording. */
  private static final class Direction {
    private int generation = -1;
    private boolean ran;
    private Optional<CudaGraph> graph = Optional.empty();

    void reset(int newGeneration) {
      graph.ifPresent(CudaGraph::close);
      graph = Optional.empty();
      ran = false;
      generation = newGeneration;
    }
  }

  TensorRtBranch(TensorRtExecution execution) {
    this.execution = execution;
  }

  @Override
  public Map<String, Tensor> run(Backend.Step step) {
    try {
      execution.prepare(step);
      allocate(step.dims());
      if (zero) {
        sets(current).forEach(tensor -> tensor.clear(execution.stream()));
      }
      execution.upload(step);
      launch();
      execution.download(step);
      execution.synchronize();
      execution.takeLayerTimes();
    } catch (TensorRtException e) {
      throw TensorRtBackend.failed(e);
    } finally {
      execution.log();
    }
    zero = false;
    current = 1 - current;
    return execution.take(step);
  }

  private void launch() {
    Direction direction = directions.get(current);
    if (direction.generation != execution.generation()) {
      direction.reset(execution.generation());
    }
    if (direction.graph.isPresent()) {
      direction.graph.get().launch(execution.stream());
      return;
    }
    bind();
    if (execution.usesGraphs() && direction.ran && record(direction)) {
      return;
    }
    execution.enqueue();
    direction.ran = true;
  }

  /** Records the step and starts it; false if the engine cannot be recorded. */
  private boolean record(Direction direction) {
    CudaGraph graph;
    try {
      graph = execution.stream().record(execution::enqueue);
    } catch (TensorRtException e) {
      execution.giveUpGraphs(e);
      return false;
    }
    direction.graph = Optional.of(graph);
    graph.launch(execution.stream());
    return true;
  }

  private void bind() {
    List<Bundle.StateTensor> state = execution.state();
    for (int i = 0; i < state.size(); i++) {
      execution.setMemory(state.get(i).input(), sets(current).get(i));
      execution.setMemory(state.get(i).output(), sets(1 - current).get(i));
    }
  }

  /** One of the two sets, in the order of the bundle's state. */
  private List<DeviceMemory> sets(int set) {
    int count = memory.size() / SETS;
    return memory.subList(set * count, (set + 1) * count);
  }

  private void allocate(Dims symbols) {
    List<Bundle.StateTensor> state = execution.state();
    List<long[]> wanted =
        state.stream().map(tensor -> TensorRtExecution.stateDims(tensor, symbols)).toList();
    if (memory.size() == SETS * state.size() && sameDims(wanted)) {
      return;
    }
    release();
    List<DeviceMemory> allocated = new ArrayList<>();
    try {
      for (int set = 0; set < SETS; set++) {
        for (int i = 0; i < state.size(); i++) {
          allocated.add(
              DeviceMemory.allocate(
                  Tensor.byteCount(state.get(i).type().element(), wanted.get(i))));
        }
      }
    } catch (RuntimeException e) {
      allocated.forEach(DeviceMemory::close);
      throw e;
    }
    memory = allocated;
    dims = wanted;
  }

  private boolean sameDims(List<long[]> wanted) {
    for (int i = 0; i < wanted.size(); i++) {
      if (!Arrays.equals(dims.get(i), wanted.get(i))) {
        return false;
      }
    }
    return true;
  }

  @Override
  public Tensor copyState(Bundle.StateTensor tensor) {
    int index = execution.state().indexOf(tensor);
    if (index < 0 || memory.isEmpty()) {
      throw new IllegalStateException("no state " + tensor);
    }
    try {
      Tensor copy = Tensor.allocate(tensor.type().element(), dims.get(index));
      ByteBuffer bytes = copy.bytes().order(ByteOrder.nativeOrder());
      sets(current).get(index).copyTo(bytes, bytes.remaining(), execution.stream());
      execution.synchronize();
      return copy;
    } catch (TensorRtException e) {
      throw TensorRtBackend.failed(e);
    }
  }

  /** The memory stays, for the next run mostly wants it again. */
  @Override
  public void clear() {
    zero = true;
  }

  private void release() {
    directions.forEach(direction -> direction.reset(-1));
    memory.forEach(DeviceMemory::close);
    memory = List.of();
    dims = List.of();
  }

  @Override
  public void close() {
    release();
  }
}
