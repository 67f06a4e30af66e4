package io.sparsedit.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The module boundaries and house rules of the compiler. */
@AnalyzeClasses(packages = "io.sparsedit", importOptions = ImportOption.DoNotIncludeTests.class)
final class ArchitectureTest {
  @ArchTest
  static final ArchRule coreSeesNeitherPassesNorCommandLine =
      noClasses()
          .that()
          .resideInAPackage("io.sparsedit.compiler..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("io.sparsedit.passes..", "io.sparsedit.cli..");

  @ArchTest
  static final ArchRule passesDoNotSeeTheCommandLine =
      noClasses()
          .that()
          .resideInAPackage("io.sparsedit.passes..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("io.sparsedit.cli..", "picocli..");

  @ArchTest
  static final ArchRule runtimeSeesNoCompiler =
      noClasses()
          .that()
          .resideInAPackage("io.sparsedit.runtime..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.sparsedit.compiler..", "io.sparsedit.passes..", "io.sparsedit.cli..");

  @ArchTest
  static final ArchRule onlyTheCommandLineSeesTheRuntime =
      noClasses()
          .that()
          .resideInAnyPackage("io.sparsedit.compiler..", "io.sparsedit.passes..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.sparsedit.runtime..");

  @ArchTest
  static final ArchRule protobufStaysInOnePackage =
      noClasses()
          .that()
          .resideOutsideOfPackage("io.sparsedit.compiler.onnx..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("ai.onnx.proto..", "com.google.protobuf..");

  @ArchTest
  static final ArchRule onnxRuntimeStaysInOnePackage =
      noClasses()
          .that()
          .resideOutsideOfPackages("io.sparsedit.compiler.ort..", "io.sparsedit.runtime..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("ai.onnxruntime..");

  @ArchTest
  static final ArchRule tensorRtServesEnginesOnly =
      noClasses()
          .that()
          .resideOutsideOfPackages(
              "io.sparsedit.compiler.engine..",
              "io.sparsedit.cli..",
              "io.sparsedit.runtime..",
              "io.sparsedit.tensorrt..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.sparsedit.tensorrt..");

  @ArchTest
  static final ArchRule theTensorRtBindingKnowsNothingOfTheCompiler =
      noClasses()
          .that()
          .resideInAPackage("io.sparsedit.tensorrt..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.sparsedit.compiler..", "io.sparsedit.passes..", "io.sparsedit.cli..");

  /** A class loader of their own has the presets, and nobody else may meet them. */
  @ArchTest
  static final ArchRule thePresetsStayInOnePackage =
      noClasses()
          .that()
          .resideOutsideOfPackage("io.sparsedit.tensorrt.presets..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.bytedeco..", "io.sparsedit.tensorrt.presets..");

  @ArchTest
  static final ArchRule theGraphKnowsNothingElse =
      noClasses()
          .that()
          .resideInAPackage("io.sparsedit.compiler.ir..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.sparsedit.compiler.onnx..",
              "io.sparsedit.compiler.ort..",
              "io.sparsedit.compiler.shape..",
              "io.sparsedit.compiler.rules..",
              "io.sparsedit.compiler.fold..",
              "io.sparsedit.compiler.pass..");

  @ArchTest
  static final ArchRule passesAreStateless =
      fields()
          .that()
          .areDeclaredInClassesThat()
          .implement("io.sparsedit.compiler.pass.Pass")
          .should()
          .beFinal();

  @ArchTest
  static final ArchRule noMutableStatics =
      fields()
          .that()
          .areStatic()
          .and()
          .areDeclaredInClassesThat()
          .areNotAssignableTo("org.antlr.v4.runtime.Recognizer")
          .should()
          .beFinal();

  @ArchTest
  static final ArchRule publicClassesAreFinalOrAbstract =
      classes()
          .that()
          .arePublic()
          .and()
          .areNotInterfaces()
          .and()
          .areNotEnums()
          .and()
          .doNotHaveModifier(JavaModifier.ABSTRACT)
          .and()
          .resideOutsideOfPackage("io.sparsedit.compiler.rules..")
          .should()
          .haveModifier(JavaModifier.FINAL);
}
