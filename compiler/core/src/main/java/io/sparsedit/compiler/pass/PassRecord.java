package io.sparsedit.compiler.pass;

/**
 * What one pass did.
 *
 * @param pass its name
 * @param changes what it returned
 * @param nodesBefore nodes of the main graph before it
 * @param nodesAfter nodes of the main graph after it
 * @param millis how long it took
 */
public record PassRecord(
    String pass, int changes, int nodesBefore, int nodesAfter, double millis) {}
