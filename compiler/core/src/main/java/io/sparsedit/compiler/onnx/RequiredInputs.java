package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * How many inputs each standard operator needs at least, in whatever version of the operator set.
 *
 * <p>Source: the operator schemas of ONNX 1.23. Operators that may do with none, and those that are
 * not in the table, are not checked.
 */
final class RequiredInputs {
  private static final String ONE =
      """
      Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh AveragePool Bernoulli BitCast BitwiseNot
      BlackmanWindow Cast Ceil Celu Clip ConcatFromSequence ConstantOfShape Cos Cosh DFT
      DepthToSpace Det Dropout DynamicQuantizeLinear Elu Erf Exp EyeLike Flatten Floor Gelu
      GlobalAveragePool GlobalLpPool GlobalMaxPool HammingWindow HannWindow HardSigmoid HardSwish
      Hardmax Identity If ImageDecoder IsInf IsNaN LRN LeakyRelu Log LogSoftmax LpNormalization
      LpPool MaxPool MeanVarianceNormalization Mish Multinomial Neg NonZero Not OptionalGetElement
      Pad RandomNormalLike RandomUniformLike Reciprocal ReduceL1 ReduceL2 ReduceLogSum
      ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
      RegexFullMatch Relu Resize Round Selu SequenceErase SequenceLength SequenceMap Shape Shrink
      Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split SplitToSequence
      Sqrt Squeeze StringNormalizer StringSplit Swish Tan Tanh TfIdfVectorizer ThresholdedRelu
      TopK Transpose Trilu Unique Unsqueeze Upsample
      """;

  private static final String TWO =
      """
      Add AffineGrid And BitShift BitwiseAnd BitwiseOr BitwiseXor CastLike CenterCropPad Compress
      Conv ConvInteger ConvTranspose CumProd CumSum DequantizeLinear Div Equal Expand Gather
      GatherElements GatherND Gemm Greater GreaterOrEqual GridSample LayerNormalization Less
      LessOrEqual MatMul MatMulInteger MaxRoiPool MaxUnpool Mod Mul NegativeLogLikelihoodLoss
      NonMaxSuppression Or PRelu Pow QuantizeLinear RMSNormalization ReverseSequence STFT
      SequenceAt SequenceInsert SoftmaxCrossEntropyLoss StringConcat Sub TensorScatter Tile Xor
      """;

  private static final String THREE =
      """
      Attention Col2Im DeformConv GRU GroupNormalization InstanceNormalization LSTM OneHot RNN Range
      RoiAlign RotaryEmbedding Scatter ScatterElements ScatterND Where
      """;

  private static final Map<String, Integer> LEAST = table();

  private RequiredInputs() {}

  private static Map<String, Integer> table() {
    Map<String, Integer> least = new HashMap<>();
    put(least, ONE, 1);
    put(least, TWO, 2);
    put(least, THREE, 3);
    put(least, "BatchNormalization", 5);
    put(least, "QLinearConv QLinearMatMul", 8);
    return Map.copyOf(least);
  }

  private static void put(Map<String, Integer> least, String operators, int inputs) {
    for (String operator : operators.strip().split("\\s+")) {
      least.put(operator, inputs);
    }
  }

  /** The index of the first input that the node lacks, if it is a standard operator. */
  static Optional<Integer> firstMissing(NodeProto node) {
    if (!node.getDomain().isEmpty() && !node.getDomain().equals("ai.onnx")) {
      return Optional.empty();
    }
    int least = LEAST.getOrDefault(node.getOpType(), 0);
    for (int i = 0; i < least; i++) {
      if (i >= node.getInputCount() || node.getInput(i).isEmpty()) {
        return Optional.of(i);
      }
    }
    return Optional.empty();
  }
}
