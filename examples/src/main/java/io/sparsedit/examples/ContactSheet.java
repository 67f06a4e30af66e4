package io.sparsedit.examples;

import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;

/** A picture of clips, one a row, with some of their frames from left to right. */
final class ContactSheet {
  /**
   * A clip and what is written beside and below it.
   *
   * @param clip the clip
   * @param label beside the row; further lines after the first are smaller
   * @param captions one a frame, or none at all
   */
  record Row(Clip clip, List<String> label, List<String> captions) {}

  private static final int FRAMES = 8;
  private static final int FRAME_SIZE = 96;
  private static final int GAP = 4;
  private static final int LINE = 16;
  private static final int LABEL = 104;
  private static final Color GREY = new Color(0x606060);

  private final List<String> title;
  private final List<Row> rows;

  /** A sheet of clips of one size. */
  ContactSheet(List<String> title, List<Row> rows) {
    this.title = List.copyOf(title);
    this.rows = List.copyOf(rows);
  }

  /** Which frames are shown: at most eight, from first to last. */
  static List<Integer> shown(int frames) {
    int count = Math.min(FRAMES, frames);
    List<Integer> shown = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      shown.add(count == 1 ? 0 : Math.round((float) i * (frames - 1) / (count - 1)));
    }
    return shown;
  }

  void write(Path file) throws IOException {
    ImageIO.write(draw(), "png", file.toFile());
  }

  BufferedImage draw() {
    Clip first = rows.get(0).clip();
    List<Integer> shown = shown(first.count());
    int scale = Math.max(1, FRAME_SIZE / first.width());
    int column = first.width() * scale + GAP;
    int top = LINE * (title.size() + 1) + 2 * GAP;
    int height = top + GAP;
    for (Row row : rows) {
      height += rowHeight(row, scale);
    }
    BufferedImage sheet =
        new BufferedImage(LABEL + column * shown.size(), height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = sheet.createGraphics();
    try {
      graphics.setColor(Color.WHITE);
      graphics.fillRect(0, 0, sheet.getWidth(), sheet.getHeight());
      Pen pen = new Pen(graphics);
      for (int i = 0; i < title.size(); i++) {
        pen.write(title.get(i), GAP, LINE * (i + 1), i == 0);
      }
      for (int i = 0; i < shown.size(); i++) {
        pen.write("frame " + shown.get(i), LABEL + i * column, top - GAP, false);
      }
      int y = top;
      for (Row row : rows) {
        for (int i = 0; i < row.label().size(); i++) {
          pen.write(row.label().get(i), GAP, y + LINE * (i + 1), i == 0);
        }
        for (int i = 0; i < shown.size(); i++) {
          int x = LABEL + i * column;
          graphics.drawImage(row.clip().image(shown.get(i), scale), x, y, null);
          if (!row.captions().isEmpty()) {
            int bottom = y + first.height() * scale + LINE - GAP;
            pen.write(row.captions().get(shown.get(i)), x, bottom, false);
          }
        }
        y += rowHeight(row, scale);
      }
    } finally {
      graphics.dispose();
    }
    return sheet;
  }

  private static int rowHeight(Row row, int scale) {
    return row.clip().height() * scale + GAP + (row.captions().isEmpty() ? 0 : LINE);
  }

  /** Writes text, or nothing on a machine whose Java has no fonts. */
  private static final class Pen {
    private static final Font STRONG = new Font(Font.SANS_SERIF, Font.BOLD, 13);
    private static final Font PLAIN = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
    private static final boolean FONTS = haveFonts();

    private final Graphics2D graphics;

    Pen(Graphics2D graphics) {
      this.graphics = graphics;
      graphics.setRenderingHint(
          RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    }

    void write(String text, int x, int baseline, boolean strong) {
      if (FONTS) {
        graphics.setColor(strong ? Color.BLACK : GREY);
        graphics.setFont(strong ? STRONG : PLAIN);
        graphics.drawString(text, x, baseline);
      }
    }

    /** Headless Java in small containers lacks the libraries or the configuration for fonts. */
    private static boolean haveFonts() {
      try {
        BufferedImage image = new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB);
        return image.createGraphics().getFontMetrics(PLAIN).stringWidth("x") > 0;
      } catch (RuntimeException | LinkageError | InternalError e) {
        return false;
      }
    }
  }
}
