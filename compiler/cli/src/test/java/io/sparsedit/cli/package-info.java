@NullMarked
package io.sparsedit.cli;

import org.jspecify.annotations.NullMarked;
