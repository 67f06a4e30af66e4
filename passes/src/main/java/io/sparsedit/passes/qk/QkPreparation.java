package io.sparsedit.passes.qk;

/**
 * What stands in front of Q and K of a site.
 *
 * @param query in front of Q
 * @param key in front of K
 */
public record QkPreparation(Prepared query, Prepared key) {
  /** Of a site that was not looked at. */
  public static final QkPreparation UNKNOWN = new QkPreparation(Prepared.NOTHING, Prepared.NOTHING);

  /** Whether there is a norm or a rotary embedding at all. */
  public boolean isSomething() {
    return query.isSomething() || key.isSomething();
  }

  /** One text if Q and K are prepared alike. */
  @Override
  public String toString() {
    String q = query.toString();
    String k = key.toString();
    return q.equals(k) ? q : "q: " + q + " | k: " + k;
  }
}
