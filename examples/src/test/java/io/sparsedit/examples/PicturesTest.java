package io.sparsedit.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.runtime.Tensor;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.stream.ImageInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PicturesTest {
  @TempDir Path folder;

  /** Three frames of 2 x 1: red and black, green and black, blue and black. */
  private static Clip colours() {
    float[] values = new float[18];
    for (int i = 0; i < values.length; i++) {
      int channel = i / 6;
      int frame = i / 2 % 3;
      values[i] = channel == frame && i % 2 == 0 ? 5 : -1;
    }
    return Clip.of(Tensor.ofFloats(new long[] {1, 3, 3, 1, 2}, values));
  }

  @Test
  void pixelsBecomeSquares() {
    BufferedImage image = colours().image(1, 4);
    assertThat(image.getWidth()).isEqualTo(8);
    assertThat(image.getHeight()).isEqualTo(4);
    assertThat(image.getRGB(3, 3)).isEqualTo(0xff00ff00);
    assertThat(image.getRGB(4, 0)).isEqualTo(0xff000000);
  }

  @Test
  void gifsHoldAllFramesAndRepeat() throws IOException {
    Path file = folder.resolve("a.gif");
    Files.writeString(file, "x".repeat(100_000));
    AnimatedGif.write(colours(), 4, file);
    assertThat(Files.size(file)).isLessThan(10_000);
    ImageReader reader = ImageIO.getImageReadersByFormatName("gif").next();
    try (ImageInputStream in = ImageIO.createImageInputStream(file.toFile())) {
      reader.setInput(in);
      assertThat(reader.getNumImages(true)).isEqualTo(3);
      for (int frame = 0; frame < 3; frame++) {
        BufferedImage image = reader.read(frame);
        assertThat(image.getRGB(3, 3)).isEqualTo(0xff000000 | (0xff0000 >> (8 * frame)));
        assertThat(image.getRGB(4, 3)).isEqualTo(0xff000000);
      }
      IIOMetadataNode metadata =
          (IIOMetadataNode) reader.getImageMetadata(1).getAsTree("javax_imageio_gif_image_1.0");
      IIOMetadataNode control =
          (IIOMetadataNode) metadata.getElementsByTagName("GraphicControlExtension").item(0);
      assertThat(control.getAttribute("delayTime")).isEqualTo("12");
    } finally {
      reader.dispose();
    }
    assertThat(new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1))
        .contains("NETSCAPE2.0");
  }

  @Test
  void sheetsShowRowsOfFrames() throws IOException {
    Clip clip = colours();
    Path file = folder.resolve("a.png");
    new ContactSheet(
            List.of("title"),
            List.of(
                new ContactSheet.Row(clip, List.of("one"), List.of("a", "b", "c")),
                new ContactSheet.Row(clip.difference(clip, 8), List.of("two"), List.of())))
        .write(file);
    BufferedImage sheet = ImageIO.read(file.toFile());
    assertThat(sheet.getWidth()).isEqualTo(104 + 3 * 100);
    // Two lines of text above, one between the rows.
    assertThat(sheet.getRGB(104, 45)).isEqualTo(0xffff0000);
    assertThat(sheet.getRGB(204, 45)).isEqualTo(0xff00ff00);
    assertThat(sheet.getRGB(304, 45)).isEqualTo(0xff0000ff);
    assertThat(sheet.getRGB(304, 45 + 48 + 16 + 4)).isEqualTo(0xff000000);
  }

  @Test
  void differencesAreAmplified() {
    Clip black = Clip.of(Tensor.ofFloats(new long[] {1, 3, 1, 1, 2}, -1, -1, -1, -1, -1, -1));
    Clip grey = Clip.of(Tensor.ofFloats(new long[] {1, 3, 1, 1, 2}, -.9f, 1, -1, -1, -1, -1));
    double[] red = black.difference(grey, 8).frames().plane(0, 0);
    assertThat((float) red[0]).isCloseTo(.4f, within(1e-5f));
    assertThat(red[1]).isEqualTo(1);
  }

  @Test
  void eightFramesAreShownFromFirstToLast() {
    assertThat(ContactSheet.shown(8)).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
    assertThat(ContactSheet.shown(16)).containsExactly(0, 2, 4, 6, 9, 11, 13, 15);
    assertThat(ContactSheet.shown(1)).containsExactly(0);
  }
}
