package io.sparsedit.passes.report;

import java.util.List;

/**
 * A page without scripts or network: light or dark as the reader's system is, tables that scroll on
 * a narrow screen, everything on paper.
 *
 * <p>Methods whose name ends in {@code Html} take markup, all others text.
 */
public final class HtmlPage {
  private static final String STYLE =
      """
      :root{color-scheme:light dark;--text:#1b1f24;--muted:#57606a;--line:#d8dee4;--back:#fff;
        --track:#e7ebef;--bar:#7fb2e0;--range:#0b2a45;--ok:#116329;--bad:#a40e26}
      @media (prefers-color-scheme:dark){:root{--text:#e6edf3;--muted:#9aa4af;--line:#30363d;
        --back:#0d1117;--track:#262c34;--bar:#2f6ca3;--range:#d6e8fa;--ok:#56d364;--bad:#ff7b72}}
      body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);
        max-width:66rem;margin:2rem auto;padding:0 1rem}
      h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}
      .scroll{overflow-x:auto}table{border-collapse:collapse}
      th,td{text-align:left;padding:.25rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
      th{font-weight:600;color:var(--muted);vertical-align:bottom}
      td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
      .muted{color:var(--muted)}.ok{color:var(--ok);font-weight:600}.bad{color:var(--bad);font-weight:600}
      dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{color:var(--muted)}dd{margin:0}
      code{font-size:.9em;overflow-wrap:anywhere}td code{overflow-wrap:normal}
      summary{cursor:pointer}svg{vertical-align:middle;max-width:100%}
      .track{fill:var(--track)}.bar{fill:var(--bar)}.range{stroke:var(--range);stroke-width:2}
      .tick{stroke:var(--line)}svg .scale{fill:var(--muted);font-size:11px;font-weight:400}
      @media print{:root{--text:#000;--muted:#444;--line:#bbb;--back:#fff;--track:#e7ebef;--bar:#7fb2e0;
        --range:#0b2a45;--ok:#116329;--bad:#a40e26}body{font-size:11px;margin:0;max-width:none;
        print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}
        tr,dl,svg{break-inside:avoid}h2{break-after:avoid}th,td{padding:.15rem .4rem}}
      """;

  private final StringBuilder html = new StringBuilder();

  /** A page with a title for the browser and a heading. */
  public HtmlPage(String title, String heading) {
    html.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .append("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")
        .append("<title>")
        .append(escape(title))
        .append("</title>\n<style>\n")
        .append(STYLE)
        .append("</style></head>\n<body>\n<h1>")
        .append(escape(heading))
        .append("</h1>\n");
  }

  /** A heading within the page. */
  public HtmlPage heading(String text) {
    html.append("<h2>").append(escape(text)).append("</h2>\n");
    return this;
  }

  /** A paragraph in small letters' grey. */
  public HtmlPage note(String text) {
    html.append("<p class=\"muted\">").append(escape(text)).append("</p>\n");
    return this;
  }

  /**
   * A table.
   *
   * @param header the columns' headings, as markup
   * @param numeric for each column whether its cells are numbers, set flush right
   * @param rowsHtml the rows, as markup: see {@link #rowHtml}
   */
  public HtmlPage tableHtml(List<String> header, List<Boolean> numeric, List<String> rowsHtml) {
    html.append("<div class=\"scroll\"><table><thead><tr>");
    for (int i = 0; i < header.size(); i++) {
      html.append(numeric.get(i) ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">")
          .append(header.get(i))
          .append("</th>");
    }
    html.append("</tr></thead><tbody>\n");
    rowsHtml.forEach(row -> html.append(row).append('\n'));
    html.append("</tbody></table></div>\n");
    return this;
  }

  /** A row of cells that are markup, for {@link #tableHtml} with the same columns. */
  public static String rowHtml(List<Boolean> numeric, List<String> cells) {
    return rowHtml(numeric, cells, "");
  }

  /** The same with the row's other cells, as markup with their tags. */
  static String rowHtml(List<Boolean> numeric, List<String> cells, String rest) {
    StringBuilder row = new StringBuilder("<tr>");
    for (int i = 0; i < cells.size(); i++) {
      row.append(numeric.get(i) ? "<td class=\"n\">" : "<td>").append(cells.get(i)).append("</td>");
    }
    return row.append(rest).append("</tr>").toString();
  }

  /** Any markup. */
  public HtmlPage html(String markup) {
    html.append(markup);
    return this;
  }

  /** The page. */
  public String close() {
    return html.append("</body></html>\n").toString();
  }

  /** Text as it must stand in markup and in attributes. */
  public static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }

  /** Text in a fixed-pitch font. */
  public static String code(String text) {
    return "<code>" + escape(text) + "</code>";
  }
}
