package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class BundleTest {
  @TempDir private Path temp;

  private static void refused(
      BundleException.Reason reason, String message, ThrowingCallable call) {
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(call)
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.reason()).isEqualTo(reason));
  }

  @Test
  void theDescriptionIsRead() {
    Bundle bundle = Bundle.open(Fixture.folder());
    assertThat(bundle.compiler()).isEqualTo("make_fixture.py 1");
    assertThat(bundle.method()).isEqualTo("svg2");
    assertThat(bundle.sites()).hasSize(2);
    assertThat(bundle.sites().get(1))
        .isEqualTo(
            new Bundle.Site(
                1,
                "blocks.1.attn1",
                "self",
                new Dim.Fixed(1),
                new Dim.Fixed(1),
                new Dim.Fixed(4),
                "svg2",
                new Rule.Periodic(.2, 2, false),
                true));
    assertThat(bundle.inputs().keySet()).containsExactly("x", "scale");
    assertThat(bundle.inputs().get("x")).hasToString("f32[batch, 4]");
    assertThat(bundle.outputs().get("twice")).hasToString("f32[2*batch, 4]");
    assertThat(bundle.outputs().get("half"))
        .isEqualTo(
            new TensorType(ElementType.F16, List.of(new Dim.Symbolic("batch"), new Dim.Fixed(4))));
    assertThat(bundle.state()).hasSize(6);
    assertThat(bundle.state().get(1))
        .hasToString(
            "StateTensor[site=0, name=keep, input=state.s0.keep, output=next.s0.keep,"
                + " type=i32[batch, 1]]");
    assertThat(bundle.actionInput()).contains("action");
    assertThat(bundle.defaultSteps()).isEqualTo(10);
    assertThat(bundle.defaultRule()).isEqualTo(new Rule.Periodic(.2, 2, false));
    bundle.checkModelHash();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          "schemaVersion": 1,        | `"schemaVersion": "a",`        | schemaVersion must be a whole number
          "schemaVersion": 1,        | ``                             | the document has no "schemaVersion"
          "sites": 2                 | `"sites": 3`                   | action.sites must be 2
          "index": 1,                | `"index": 2,`                  | sites[1].index must be 1
          "heads": 1,                | `"heads": 1.5,`                | sites[0].heads must be a whole number
          "site": 1,                 | `"site": 2,`                   | state[3].site must be below 2
          "type": "f16"              | `"type": "f4"`                 | outputs[2].type is f4
          "denseWarmup": 0.2         | `"denseWarmup": 1.5`           | denseWarmup must be 0 to 1
          "replanInterval": 2        | `"replanInterval": 0`          | schedule.replanInterval must be a whole number of at least 1
          "planDuringWarmup": false  | `"planDuringWarmup": 0`        | schedule.planDuringWarmup must be true or false
          "steps": 10,               | `"steps": 10, "searchSteps": [],` | there must be a search step
          "weights/bias.bin"         | `"../bias.bin"`                | weights[0].file must be a file inside the bundle
          "weights/bias.bin"         | `"/tmp/bias.bin"`              | weights[0].file must be a file inside the bundle
          "name": "scale"            | `"name": "x"`                  | inputs[1].name repeats x
          "input": "action"          | `"input": "x"`                 | action repeats the input x
          "next.s1.acc"              | `"next.s0.acc"`                | state repeats
          "batch",                   | `"other",`                     | BATCH
          "action": {                | `"actions": {`                 | has sites but no "action"
          "inputs": [                | `"inputs": [[`                 | bundle.json
          "headDim": 1,              | `"headDim": 1, "headDim": 2,`  | Duplicate field 'headDim'
          """)
  void aDescriptionThatMakesNoSenseIsRefused(String what, String by, String message)
      throws IOException {
    if (message.equals("BATCH")) {
      // The state's batch stays, but no input has it any more.
      Fixture.copyTo(temp);
      Path file = temp.resolve("bundle.json");
      String text = Files.readString(file);
      int inputs = text.indexOf("\"inputs\"");
      Files.writeString(file, text.substring(0, inputs) + text.substring(inputs).replace(what, by));
      message = "gives state.s0.acc the dimension \"batch\", which the inputs' dimensions do not";
    } else {
      Fixture.copyTo(temp, what, by == null ? "" : by);
    }
    String expected = message;
    refused(BundleException.Reason.MALFORMED, expected, () -> Bundle.open(temp));
  }

  @Test
  void aNewerSchemaIsRefusedByName() throws IOException {
    Fixture.copyTo(temp, "\"schemaVersion\": 1", "\"schemaVersion\": 3");
    refused(
        BundleException.Reason.UNSUPPORTED_VERSION,
        "schemaVersion 3 and was written by make_fixture.py 1; this runtime reads versions up to 2",
        () -> Bundle.open(temp));
  }

  @Test
  void unknownKeysAreIgnored() throws IOException {
    Fixture.copyTo(
        temp, "\"schemaVersion\": 1,", "\"schemaVersion\": 1, \"new\": [{\"a\": null}],");
    assertThat(Bundle.open(temp).sites()).hasSize(2);
  }

  @Test
  void aFolderWithoutDescriptionIsNoBundle() {
    refused(
        BundleException.Reason.NOT_FOUND,
        "is not a bundle: it has no bundle.json",
        () -> Bundle.open(temp));
  }

  @Test
  void brokenJsonIsRefused() throws IOException {
    Path file = Fixture.copyTo(temp).resolve("bundle.json");
    for (String text : new String[] {"", "{", "[1] 2", "{\"a\": }", "null", "[]", "3"}) {
      Files.writeString(file, text);
      refused(
          BundleException.Reason.MALFORMED, "compile the bundle again", () -> Bundle.open(temp));
    }
  }

  @Test
  void whereJsonIsBrokenIsSaidInOneLine() throws IOException {
    Files.writeString(Fixture.copyTo(temp).resolve("bundle.json"), "{\n  \"method\": oops\n}");
    assertThatExceptionOfType(BundleException.class)
        .isThrownBy(() -> Bundle.open(temp))
        .withMessageContaining("bundle.json: Unrecognized token 'oops'")
        .withMessageContaining(", at line 2, column ")
        .withMessageNotContaining("\n");
  }

  @Test
  void aNumberOfStepsThatNoTableHoldsIsRefused() throws IOException {
    Fixture.copyTo(temp, "\"steps\": 10", "\"steps\": 2000000000");
    refused(BundleException.Reason.MALFORMED, "at most 100000 steps", () -> Bundle.open(temp));
    assertThatExceptionOfType(ScheduleException.class)
        .isThrownBy(() -> Schedule.steps(2_000_000_000))
        .withMessageContaining("at most 100000 steps");
  }

  @Test
  void missingFilesAreNamed() throws IOException {
    Fixture.copyTo(temp);
    Files.delete(temp.resolve("weights/bias.bin"));
    refused(
        BundleException.Reason.FILE_MISSING, "bias.bin is missing; copy", () -> Bundle.open(temp));
    Files.delete(temp.resolve("model.onnx"));
    refused(BundleException.Reason.FILE_MISSING, "model.onnx", () -> Bundle.open(temp));
  }

  @Test
  void changedFilesAreNoticed() throws IOException {
    Fixture.copyTo(temp);
    byte[] model = Files.readAllBytes(temp.resolve("model.onnx"));
    model[10] ^= 1;
    Files.write(temp.resolve("model.onnx"), model);
    Bundle bundle = Bundle.open(temp);
    refused(BundleException.Reason.FILE_CHANGED, "SHA-256", bundle::checkModelHash);
    Files.write(temp.resolve("weights/bias.bin"), new byte[15]);
    refused(
        BundleException.Reason.FILE_CHANGED,
        "has 15 bytes, the bundle was written with 16",
        () -> Bundle.open(temp));
  }
}
