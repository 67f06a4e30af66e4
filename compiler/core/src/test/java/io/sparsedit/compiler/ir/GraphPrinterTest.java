package io.sparsedit.compiler.ir;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class GraphPrinterTest {
  @Test
  void aModelIsPrintedAsText() {
    Graph graph = Graph.create("main");
    Value x =
        graph.addInput(
            "x",
            new ValueType.TensorType(
                DataType.FLOAT16,
                Optional.of(
                    List.of(
                        new DeclaredDim.Fixed(1),
                        new DeclaredDim.Named("tokens"),
                        new DeclaredDim.Unknown()))));
    Value axes = graph.addInitializer("axes", Tensor.vector(-1));
    Value weight =
        graph.addInitializer(
            "w", Tensor.raw(DataType.FLOAT, new long[] {3, 3}, ByteBuffer.allocate(36)));
    Node node = graph.addNode("", "Split", "blocks.0/Split", List.of(x, axes));
    node.setAttribute("axis", -1);
    node.setAttribute("mode", "linear");
    Value left = node.addOutput("left");
    left.setType(ValueType.TensorType.of(DataType.FLOAT16, 1, 2));
    node.addOutput("");
    Node choice = graph.addNode("com.x", "If", "", List.of());
    choice.clearInput(0);
    choice.setInput(1, weight);
    Graph body = Graph.createSubgraph(graph, "then");
    body.addOutput(left);
    choice.setAttribute("then_branch", new Attribute.GraphValue(body));
    graph.addOutput(choice.addOutput("y"));
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    model.opsets().put("local", 1L);
    Function function = new Function("local", "F", "f32");
    function.opsets().put("", 17L);
    function.attributeNames().add("scale");
    function.body().addOutput(function.body().append("Neg", function.body().addInput("a")));
    model.functions().add(function);

    assertThat(GraphPrinter.print(model))
        .isEqualTo(
            """
            model ir 8 opset 17, local 1
            graph main
              input %x : f16[1,tokens,?]
              init %axes : i64[1] = [-1]
              init %w : f32[3,3]
              %left : f16[1,2], - = Split(%x, %axes) {axis=-1, mode="linear"} 'blocks.0/Split'
              %y = com.x.If(-, %w) {then_branch=graph then}
                graph then
                  output %left : f16[1,2]
              output %y
            function local.F:f32 opset 17 {scale}
              input %a
              %Neg = Neg(%a)
              output %Neg
            """);
  }
}
