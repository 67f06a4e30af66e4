package io.sparsedit.examples;

import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.Queue;

/** What was typed behind a program's name, from left to right. */
final class Arguments {
  private final Queue<String> rest;

  Arguments(List<String> arguments) {
    this.rest = new ArrayDeque<>(arguments);
  }

  boolean isEmpty() {
    return rest.isEmpty();
  }

  /**
   * The next argument.
   *
   * @param what what it is, for the message
   * @throws IllegalArgumentException if there is none
   */
  String next(String what) {
    String argument = rest.poll();
    if (argument == null) {
      throw new IllegalArgumentException(what + " is missing");
    }
    return argument;
  }

  /**
   * The next argument as a whole number.
   *
   * @throws IllegalArgumentException if it is none
   */
  long nextLong(String what) {
    String argument = next(what);
    try {
      return Long.parseLong(argument);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(what + " must be a whole number, is " + argument, e);
    }
  }

  /**
   * The next argument as a number of things.
   *
   * @throws IllegalArgumentException if it is no whole number from 1 to a million
   */
  int nextCount(String what) {
    long count = nextLong(what);
    if (count < 1 || count > 1_000_000) {
      throw new IllegalArgumentException(what + " must be 1 to 1000000, is " + count);
    }
    return (int) count;
  }

  /**
   * The next argument as a number in a range.
   *
   * @throws IllegalArgumentException if it is none
   */
  double nextNumber(String what, double low, double high) {
    String argument = next(what);
    double number;
    try {
      number = Double.parseDouble(argument);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(what + " must be a number, is " + argument, e);
    }
    if (!(number >= low && number <= high)) {
      throw new IllegalArgumentException(
          what + " must be " + low + " to " + high + ", is " + argument);
    }
    return number;
  }

  /**
   * Adds the next argument, a dimension's {@code NAME=SIZE}, to the sizes.
   *
   * @throws IllegalArgumentException if it is none
   */
  void nextSize(String what, Map<String, Long> sizes) {
    String argument = next(what);
    if (!argument.matches(".+=\\d{1,18}")) {
      throw new IllegalArgumentException(what + " must be NAME=SIZE, is " + argument);
    }
    int equals = argument.lastIndexOf('=');
    sizes.put(argument.substring(0, equals), Long.parseLong(argument.substring(equals + 1)));
  }
}
