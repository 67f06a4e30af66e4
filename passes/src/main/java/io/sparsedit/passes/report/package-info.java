/** Reports for machines (JSON) and people (HTML). */
@NullMarked
package io.sparsedit.passes.report;

import org.jspecify.annotations.NullMarked;
