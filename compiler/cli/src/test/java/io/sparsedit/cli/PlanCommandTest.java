package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code inspect --plan} and {@code compile --plan}. */
final class PlanCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path WAN = CommandLineRun.zoo("wan21_t2v-ts17-static");

  @TempDir private Path folder;

  private Path plan(Object... options) {
    Path file = folder.resolve("plan.json");
    CommandLineRun run = run(List.of("inspect", WAN, "--plan", file), options);
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("Plan of 4 sites: " + file);
    return file;
  }

  private static CommandLineRun run(List<Object> first, Object... more) {
    List<Object> arguments = new ArrayList<>(first);
    arguments.addAll(List.of(more));
    return CommandLineRun.of(arguments.toArray());
  }

  private Path compile(String name, Object... options) {
    Path bundle = folder.resolve(name);
    CommandLineRun run = run(List.of("compile", WAN, "-o", bundle, "--verify", "none"), options);
    assertThat(run.exitCode()).as(run.err()).isZero();
    return bundle;
  }

  @Test
  void untouchedPlanLeadsToTheSameBundle() throws IOException {
    for (List<Object> options :
        List.<List<Object>>of(
            List.of(),
            List.of("--top-p", "0.77", "--min-kept", "0.3", "--clusters", "4,16"),
            List.of("--no-compensate"),
            List.of("--dense-layers", "0"),
            List.of("--density", "0.3", "--ranking", "mass-per-token"),
            List.of("--method", "adaspa", "--density", "0.3", "--block-size", "16"),
            List.of("--method", "svg", "--sampled-rows", "32", "--block-size", "16"))) {
      Path planned = compile("planned", "--plan", plan(options.toArray()));
      Path direct = compile("direct", options.toArray());

      assertThat(planned.resolve("model.onnx"))
          .hasSameBinaryContentAs(direct.resolve("model.onnx"));
      assertThat(planned.resolve("bundle.json"))
          .hasSameTextualContentAs(direct.resolve("bundle.json"));
      assertThat(report(planned)).isEqualTo(report(direct));
    }
  }

  /** The report without how long passes took. */
  private static JsonNode report(Path bundle) throws IOException {
    ObjectNode report = (ObjectNode) JSON.readTree(bundle.resolve("report.json").toFile());
    report.remove("passes");
    return report;
  }

  @Test
  void editedPlanIsObeyedSiteBySite() throws IOException {
    Path file = plan();
    JsonNode plan = JSON.readTree(file.toFile());
    ObjectNode first = (ObjectNode) plan.path("sites").path(0);
    first.put("sparsify", false).put("reason", "blurs faces");
    ObjectNode settings = (ObjectNode) plan.path("sites").path(2).path("settings");
    settings.remove(List.of("density", "ranking"));
    settings.put("topP", 0.5).put("queryClusters", 3).put("keyClusters", 12);
    JSON.writeValue(file.toFile(), plan);

    Path bundle = compile("bundle", "--plan", file);

    JsonNode description = JSON.readTree(bundle.resolve("bundle.json").toFile());
    assertThat(description.path("denseSites").path(0).path("id").asText())
        .isEqualTo("blocks.0.attn1");
    assertThat(description.path("denseSites").path(0).path("reason").asText())
        .isEqualTo("blurs faces");
    assertThat(description.path("sites")).hasSize(1);
    JsonNode obeyed = description.path("sites").path(0).path("method").path("settings");
    assertThat(obeyed.path("topP").asDouble()).isEqualTo(0.5);
    assertThat(obeyed.path("queryClusters").asInt()).isEqualTo(3);
    assertThat(obeyed.path("keyClusters").asInt()).isEqualTo(12);
    assertThat(description.path("state").path(0).path("dims").path(2).asInt()).isEqualTo(3);
  }

  @Test
  void planMayNameSomeSitesAndSomeSettings() throws IOException {
    Path file =
        write(
            """
            {"schemaVersion": 1, "sites": [
              {"id": "blocks.1.attn1", "sparsify": true, "method": "svg2", "settings": {"topP": 0.6}}
            ]}
            """);

    Path bundle = compile("bundle", "--plan", file);

    JsonNode sites = JSON.readTree(bundle.resolve("bundle.json").toFile()).path("sites");
    assertThat(sites.path(0).path("method").path("settings").path("density").asDouble())
        .isEqualTo(0.25);
    assertThat(sites.path(1).path("method").path("settings").path("topP").asDouble())
        .isEqualTo(0.6);
    assertThat(sites.path(1).path("method").path("settings").path("minKept").asDouble())
        .isEqualTo(0.1);
    assertThat(sites.path(1).path("method").path("settings").has("density")).isFalse();
  }

  @Test
  void whatHasNoMeaningIsRefused() throws IOException {
    String site = "{\"id\": \"blocks.0.attn1\", \"sparsify\": true, \"method\": \"svg2\"";
    refused(
        "{\"schemaVersion\": 1, \"sites\": [], \"site\": []}", "unknown key 'site'", "'sites'?");
    refused("{\"sites\": []}", "'schemaVersion' is missing", "must be 1");
    refused("{\"schemaVersion\": 2, \"sites\": []}", "schemaVersion is 2");
    refused("{\"schemaVersion\": 1}", "'sites' is missing", "array");
    refused("[]", "must be an object {...}, not []");
    refused("{\"schemaVersion\": 1,\n \"sites\": [}", "plan.json:2:", "not a plan");
    refused("", "plan.json", "must be an object");
    refused(sites("{\"sparsify\": true}"), "sites[0]", "'id' is missing");
    refused(sites("{\"id\": 3}"), "sites[0]", "'id' must be a string, not 3");
    refused(sites("{\"id\": \"blocks.0.attn1\"}"), "(blocks.0.attn1)", "'sparsify' is missing");
    refused(sites(site + ", \"metod\": 1}"), "unknown key 'metod'", "did you mean 'method'?");
    refused(sites(site + ", \"sparsify\": true}"), "plan.json:1:", "Duplicate field 'sparsify'");
    refused(
        sites("{\"id\": \"blocks.0.attn1\", \"sparsify\": \"yes\"}"),
        "sites[0] (blocks.0.attn1)",
        "'sparsify' must be true or false, not \"yes\"");
    refused(
        sites(site + ", \"settings\": {\"topp\": 0.5}}"),
        "(blocks.0.attn1): 'settings': unknown key 'topp'; did you mean 'topP'?");
    refused(
        sites(site + ", \"settings\": {\"topP\": \"high\"}}"),
        "'topP' must be a number above 0, not \"high\"");
    refused(
        sites(site + ", \"settings\": {\"topP\": 0}}"), "'topP' must be a number above 0, not 0");
    refused(
        sites(site + ", \"settings\": {\"iterations\": 2.5}}"),
        "'iterations' must be a whole number from 1 on, not 2.5");
    refused(sites(site + ", \"settings\": {\"queryClusters\": 3}}"), "give both queryClusters and");
    refused(sites(site + ", \"settings\": []}"), "'settings' must be an object");
    refused(
        sites("{\"id\": \"blocks.0.attn1\", \"sparsify\": true, \"method\": \"magic\"}"),
        "there is no method 'magic', only svg2");
    refused(
        sites("{\"id\": \"blocks.0.attn1\", \"sparsify\": true, \"settings\": {}}"),
        "'method' is missing");
    refused(sites(site + "}, " + site + "}"), "sites[1] (blocks.0.attn1)", "twice");
    refused(
        sites("{\"id\": \"blocks.0.atn1\", \"sparsify\": true}"),
        "the model has no site 'blocks.0.atn1'; did you mean 'blocks.0.attn1'?");
    refused(
        sites(site + ", \"kind\": \"joint\"}"),
        "is of kind self in this model, not joint",
        "another");
    refused(
        sites("{\"id\": \"blocks.0.attn2\", \"sparsify\": true}"),
        "site 'blocks.0.attn2' cannot become sparse: cross-attention stays dense",
        "Set its sparsify to false");
  }

  @Test
  void planThatKeepsEverythingDenseLeavesNothingToDo() throws IOException {
    Path file =
        write(
            sites(
                "{\"id\": \"blocks.0.attn1\", \"sparsify\": false},"
                    + " {\"id\": \"blocks.1.attn1\", \"sparsify\": false}"));

    CommandLineRun run =
        CommandLineRun.of("compile", WAN, "-o", folder.resolve("out"), "--plan", file);

    assertThat(run.exitCode()).isEqualTo(4);
    assertThat(run.err()).contains("blocks.0.attn1, blocks.1.attn1: left dense by the plan");
  }

  @Test
  void planTakesThePlaceOfTheOptionsThatItHolds() {
    Path file = plan();

    CommandLineRun run =
        CommandLineRun.of(
            "compile", WAN, "-o", folder.resolve("out"), "--plan", file, "--top-p", "0.5");

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err())
        .contains("--top-p and --plan exclude each other")
        .contains("inspect --plan");

    compile("video", "--plan", file, "--video", "4x8x6");
  }

  @Test
  void absentPlanAndNowhereToWriteOne() {
    Path absent = folder.resolve("absent").resolve("plan.json");
    CommandLineRun read =
        CommandLineRun.of("compile", WAN, "-o", folder.resolve("out"), "--plan", absent);
    assertThat(read.exitCode()).isEqualTo(1);
    assertThat(read.err()).contains(absent + ": the plan cannot be read: no such file");

    CommandLineRun written = CommandLineRun.of("inspect", WAN, "--plan", absent);
    assertThat(written.exitCode()).isEqualTo(1);
    assertThat(written.err()).contains(absent + ": cannot be written");
  }

  private static String sites(String sites) {
    return "{\"schemaVersion\": 1, \"sites\": [" + sites + "]}";
  }

  private Path write(String text) throws IOException {
    return Files.writeString(folder.resolve("plan.json"), text);
  }

  private void refused(String text, String... parts) throws IOException {
    CommandLineRun run =
        CommandLineRun.of("compile", WAN, "-o", folder.resolve("out"), "--plan", write(text));

    assertThat(run.exitCode()).as(text + "\n" + run.err()).isEqualTo(2);
    assertThat(run.err())
        .contains(parts)
        .contains("plan.json")
        .doesNotContain("\tat ")
        .doesNotContain("Exception");
    assertThat(folder.resolve("out")).doesNotExist();
  }
}
