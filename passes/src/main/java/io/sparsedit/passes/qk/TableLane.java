package io.sparsedit.passes.qk;

/**
 * What a lane is multiplied with: an element of a cosine or sine table, and its sign.
 *
 * @param element the element, for all tokens
 * @param sign 1 or -1
 */
record TableLane(Element element, double sign) {}
