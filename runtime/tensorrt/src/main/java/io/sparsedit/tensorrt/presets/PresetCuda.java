package io.sparsedit.tensorrt.presets;

import static org.bytedeco.cuda.global.cudart.cudaErrorMemoryAllocation;
import static org.bytedeco.cuda.global.cudart.cudaFree;
import static org.bytedeco.cuda.global.cudart.cudaFreeHost;
import static org.bytedeco.cuda.global.cudart.cudaGetErrorString;
import static org.bytedeco.cuda.global.cudart.cudaGetLastError;
import static org.bytedeco.cuda.global.cudart.cudaGraphDestroy;
import static org.bytedeco.cuda.global.cudart.cudaGraphExecDestroy;
import static org.bytedeco.cuda.global.cudart.cudaGraphInstantiate;
import static org.bytedeco.cuda.global.cudart.cudaGraphLaunch;
import static org.bytedeco.cuda.global.cudart.cudaHostAlloc;
import static org.bytedeco.cuda.global.cudart.cudaHostAllocDefault;
import static org.bytedeco.cuda.global.cudart.cudaMalloc;
import static org.bytedeco.cuda.global.cudart.cudaMemGetInfo;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyAsync;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyDeviceToHost;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyHostToDevice;
import static org.bytedeco.cuda.global.cudart.cudaMemsetAsync;
import static org.bytedeco.cuda.global.cudart.cudaRuntimeGetVersion;
import static org.bytedeco.cuda.global.cudart.cudaStreamBeginCapture;
import static org.bytedeco.cuda.global.cudart.cudaStreamCaptureModeThreadLocal;
import static org.bytedeco.cuda.global.cudart.cudaStreamCreateWithFlags;
import static org.bytedeco.cuda.global.cudart.cudaStreamDestroy;
import static org.bytedeco.cuda.global.cudart.cudaStreamEndCapture;
import static org.bytedeco.cuda.global.cudart.cudaStreamNonBlocking;
import static org.bytedeco.cuda.global.cudart.cudaStreamSynchronize;
import static org.bytedeco.cuda.global.cudart.cudaSuccess;

import io.sparsedit.tensorrt.TensorRtException;
import io.sparsedit.tensorrt.calls.CudaCalls;
import java.nio.ByteBuffer;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.SizeTPointer;

/** CUDA through the preset {@code cudart}. */
public final class PresetCuda implements CudaCalls {
  /** Loads the preset's native library. */
  public PresetCuda() {
    check(cudaRuntimeGetVersion(new int[1]), "CUDA cannot be asked");
  }

  private static void check(int code, String what) {
    if (code == cudaSuccess) {
      return;
    }
    String why = cudaGetErrorString(code).getString();
    cudaGetLastError(); // clears it where it does not stick
    throw TensorRtException.failed(what + ": " + why + " (CUDA error " + code + ")");
  }

  /**
   * A release fails where the GPU has failed before, as the call that met it has said, and while
   * the process ends. All else must be released all the same.
   */
  private static void released(int code) {
    if (code != cudaSuccess) {
      cudaGetLastError(); // clears it where it does not stick
    }
  }

  private static CUstream_st stream(long address) {
    return new CUstream_st(new Address(address));
  }

  @Override
  public long freeBytes() {
    try (SizeTPointer free = new SizeTPointer(1);
        SizeTPointer total = new SizeTPointer(1)) {
      check(cudaMemGetInfo(free, total), "the GPU cannot be asked");
      return free.get();
    }
  }

  @Override
  public long allocate(long bytes) {
    Pointer memory = new Address(0);
    int code = cudaMalloc(memory, bytes);
    if (code == cudaErrorMemoryAllocation) {
      cudaGetLastError(); // it does not stick
      throw TensorRtException.outOfMemory("an allocation", bytes, freeBytes());
    }
    check(code, "no " + bytes + " bytes of GPU memory");
    return memory.address();
  }

  @Override
  public void free(long memory) {
    released(cudaFree(new Address(memory)));
  }

  @Override
  public ByteBuffer allocatePinned(int bytes) {
    Address memory = new Address(0);
    check(
        cudaHostAlloc(memory, bytes, cudaHostAllocDefault),
        "no " + bytes + " bytes of pinned memory");
    return memory.bytes(bytes);
  }

  @Override
  public void freePinned(ByteBuffer memory) {
    released(cudaFreeHost(Address.of(memory)));
  }

  @Override
  public void clear(long memory, long bytes, long stream) {
    check(
        cudaMemsetAsync(new Address(memory), 0, bytes, stream(stream)),
        "GPU memory cannot be cleared");
  }

  @Override
  public void copyToDevice(long to, ByteBuffer from, long bytes, long stream) {
    check(
        cudaMemcpyAsync(
            new Address(to), Address.of(from), bytes, cudaMemcpyHostToDevice, stream(stream)),
        "a copy to the GPU failed");
  }

  @Override
  public void copyToHost(ByteBuffer to, long from, long bytes, long stream) {
    check(
        cudaMemcpyAsync(
            Address.of(to), new Address(from), bytes, cudaMemcpyDeviceToHost, stream(stream)),
        "a copy from the GPU failed");
  }

  @Override
  public long newStream() {
    CUstream_st stream = stream(0);
    check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "no CUDA stream");
    return stream.address();
  }

  @Override
  public void deleteStream(long stream) {
    released(cudaStreamDestroy(stream(stream)));
  }

  @Override
  public void synchronize(long stream) {
    check(cudaStreamSynchronize(stream(stream)), "the GPU failed");
  }

  @Override
  public void beginCapture(long stream) {
    check(
        cudaStreamBeginCapture(stream(stream), cudaStreamCaptureModeThreadLocal),
        "a CUDA graph cannot be recorded");
  }

  @Override
  public long endCapture(long stream) {
    CUgraph_st graph = new CUgraph_st(new Address(0));
    check(cudaStreamEndCapture(stream(stream), graph), "a CUDA graph cannot be recorded");
    if (graph.isNull()) {
      throw TensorRtException.failed("a CUDA graph cannot be recorded");
    }
    CUgraphExec_st executable = new CUgraphExec_st(new Address(0));
    int code = cudaGraphInstantiate(executable, graph, 0);
    cudaGraphDestroy(graph);
    check(code, "a CUDA graph cannot be made");
    return executable.address();
  }

  @Override
  public void launchGraph(long graph, long stream) {
    check(
        cudaGraphLaunch(new CUgraphExec_st(new Address(graph)), stream(stream)),
        "a CUDA graph does not start");
  }

  @Override
  public void deleteGraph(long graph) {
    released(cudaGraphExecDestroy(new CUgraphExec_st(new Address(graph))));
  }
}
