package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Node;
import java.util.List;
import org.junit.jupiter.api.Test;

final class CallPluginsTest {
  private static final List<String> PLUGINS = List.of("MeanPlan", "BlockSparseAttention");

  private final SiteGraph site = new SiteGraph();

  @Test
  void callsNameTheirPluginAndFunctionsGo() {
    site.model.functions().add(new Function("other", "Kept", ""));

    CallPlugins.in(site.model, PLUGINS, 1, "lib.so");

    assertThat(site.model.functions()).extracting(Function::name).containsExactly("Kept");
    for (Node call : List.of(site.planner, site.attention)) {
      assertThat(call.overload()).isEmpty();
      assertThat(call.stringAttribute("plugin_namespace", "")).isEqualTo("sparsedit");
      assertThat(call.stringAttribute("plugin_version", "")).isEqualTo("1");
    }
  }

  @Test
  void anOperatorWithoutAPluginIsNamed() {
    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> CallPlugins.in(site.model, List.of("BlockSparseAttention"), 1, "lib.so"))
        .withMessageContaining("there is no TensorRT plugin for MeanPlan yet")
        .withMessageContaining("lib.so has BlockSparseAttention")
        .satisfies(e -> assertThat(e.kind()).isEqualTo(SparsifyException.Kind.FAILURE));
  }

  @Test
  void anotherVersionOfAPluginIsRefused() {
    site.planner.setAttribute("plugin_version", "2");

    assertThatExceptionOfType(SparsifyException.class)
        .isThrownBy(() -> CallPlugins.in(site.model, PLUGINS, 1, "lib.so"))
        .withMessageContaining("MeanPlan")
        .withMessageContaining("wants version 2 of its plugin, lib.so has version 1");
  }
}
