package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.functions.RopeForm;
import io.sparsedit.passes.functions.RotatedTokens;
import java.util.List;
import java.util.Locale;

/**
 * A rotary position embedding of Q or K.
 *
 * @param form which lanes make a pair
 * @param firstLane the first rotated lane of a head
 * @param lanes how many lanes of a head are rotated
 * @param tokens which tokens of the part are rotated
 * @param rotatedTokens how many
 * @param perHead whether heads have tables of their own
 * @param source where cosine and sine come from
 * @param inputs names of the graph inputs that they are, or depend on
 */
public record Rope(
    RopeForm form,
    int firstLane,
    int lanes,
    RotatedTokens tokens,
    Dim rotatedTokens,
    boolean perHead,
    Source source,
    List<String> inputs) {
  public Rope {
    inputs = List.copyOf(inputs);
  }

  /** Where cosine and sine come from. */
  public enum Source {
    /** They are constants, folded or computed from constants alone. */
    CONSTANT,
    /** They are computed from sizes of graph inputs. */
    SIZES,
    /** They are graph inputs. */
    INPUT,
    /** They are computed from what is in graph inputs, such as coordinates or ids. */
    COMPUTED;

    /** The name in reports. */
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }
}
