// A TensorRT plugin and its creator, from the description of an operator.
//
// Op is a struct of static members:
//   kName, kTakes      the node's name; what numbers of inputs it takes, in words
//   Settings           its attributes: VisitFields (fields.h), `site`, `inputs`, and Check(), which
//                      returns null or what is wrong with them
//   MakeSignature      (settings, number of inputs, Signature*): false for an impossible number
//   OutputCount        (settings)
//   Check              (settings, number of inputs, extents): what neither attributes nor shapes
//                      say one by one; returns an empty string or what is wrong
//   CheckSupport       (settings, extents, type): kOk where there are kernels for it
//   WorkspaceSize      (settings, extents, type): bytes, never less for larger extents
//   Enqueue            (settings, Call)
// Nothing is kept between calls but the number of inputs, which enqueue is not told.
#ifndef SPARSEDIT_PLUGINS_PLUGIN_H_
#define SPARSEDIT_PLUGINS_PLUGIN_H_

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "plugins/call.h"
#include "plugins/fields.h"
#include "plugins/host.h"
#include "plugins/tensors.h"

namespace sparsedit::plugins {

constexpr char kNamespace[] = "sparsedit";
constexpr char kVersion[] = "1";

// The head dims of its kernels, in words.
template <typename Op>
constexpr const char* kHeadDims = "multiples of 16 from 32 to 128";

template <typename Op>
class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::IPluginV3OneBuild,
                     public nvinfer1::IPluginV3OneRuntime {
 public:
  using Settings = typename Op::Settings;

  Plugin(const Settings& settings, bool building) : settings_(settings), building_(building) {
    // Whatever decides the time that a node takes, apart from its types and shapes.
    Settings::VisitFields(settings_, [this](const char* name, const auto& value, Needed) {
      if (std::string(name) != "site" && std::string(name) != "inputs") Append(name, value);
    });
  }

  // IPluginV3.
  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override {
    switch (type) {
      case nvinfer1::PluginCapabilityType::kCORE:
        return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case nvinfer1::PluginCapabilityType::kBUILD:
        return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case nvinfer1::PluginCapabilityType::kRUNTIME:
        return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }
  nvinfer1::IPluginV3* clone() noexcept override {
    return new (std::nothrow) Plugin(settings_, building_);
  }

  // IPluginV3OneCore.
  const char* getPluginName() const noexcept override { return Op::kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  // IPluginV3OneBuild.
  std::int32_t getNbOutputs() const noexcept override { return Op::OutputCount(settings_); }

  std::int32_t getOutputDataTypes(nvinfer1::DataType* output_types, std::int32_t output_count,
                                  const nvinfer1::DataType* input_types,
                                  std::int32_t input_count) const noexcept override {
    Signature signature;
    if (!MakeSignature(input_count, output_count, &signature)) return 1;
    for (int i = 0; i < input_count; ++i) {
      const std::string fault = TypeFault(signature.inputs[i], input_types[i], input_types[0]);
      if (!fault.empty()) return Fail(fault);
    }
    for (int i = 0; i < output_count; ++i) {
      output_types[i] = TypeOf(signature.outputs[i].element, input_types[0]);
    }
    return 0;
  }

  std::int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, std::int32_t input_count,
                               const nvinfer1::DimsExprs*, std::int32_t shape_input_count,
                               nvinfer1::DimsExprs* outputs, std::int32_t output_count,
                               nvinfer1::IExprBuilder& builder) noexcept override {
    Signature signature;
    if (!MakeSignature(input_count, output_count, &signature)) return 1;
    if (shape_input_count != 0) return Fail("takes no shape tensors");
    // An output's extents are those of the first inputs: q, and k where it differs.
    const int sources = std::min(input_count, 2);
    if (inputs[0].nbDims != 4) {
      return Fail("q has " + std::to_string(inputs[0].nbDims) +
                  " dimensions where 4 are expected");
    }
    for (int i = 0; i < output_count; ++i) {
      const std::vector<Extent>& extents = signature.outputs[i].extents;
      outputs[i].nbDims = static_cast<std::int32_t>(extents.size());
      for (std::size_t axis = 0; axis < extents.size(); ++axis) {
        const nvinfer1::IDimensionExpr* expression = nullptr;
        for (int input = 0; input < sources && expression == nullptr; ++input) {
          const std::vector<Extent>& axes = signature.inputs[input].extents;
          if (inputs[input].nbDims == static_cast<int>(axes.size())) {
            expression = Expression(extents[axis], axes, inputs[input], builder);
          }
        }
        if (expression == nullptr) return Fail("an output's shape is unknown");
        outputs[i].d[axis] = expression;
      }
    }
    return 0;
  }

  bool supportsFormatCombination(std::int32_t position,
                                 const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 std::int32_t input_count,
                                 std::int32_t output_count) noexcept override {
    Signature signature;
    if (!MakeSignature(input_count, output_count, &signature)) return false;
    const nvinfer1::PluginTensorDesc& tensor = tensors[position].desc;
    DataType type;
    return tensor.format == nvinfer1::TensorFormat::kLINEAR &&
           FromTensorRt(tensors[0].desc.type, &type) &&
           IsTypeOf(signature.at(position).element, tensor.type, tensors[0].desc.type);
  }

  std::int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs,
                               std::int32_t input_count,
                               const nvinfer1::DynamicPluginTensorDesc* outputs,
                               std::int32_t output_count) noexcept override {
    Signature signature;
    if (!MakeSignature(input_count, output_count, &signature)) return 1;
    Extents extents;
    DataType type;
    std::string fault;
    // The corners of the profile; what lies between them fits if they do. TensorRT bounds every
    // extent on its own, by the bounds of what it is computed from: tables that are cut where the
    // text ends have corners of their own, although they fit at every size. The shapes that the
    // profile is tuned for are true ones.
    const bool corners =
        FitsAt(signature, inputs, outputs, &nvinfer1::DynamicPluginTensorDesc::min, &extents, &type,
               &fault) &&
        FitsAt(signature, inputs, outputs, &nvinfer1::DynamicPluginTensorDesc::max, &extents, &type,
               &fault);
    if (!corners && !FitsAt(signature, inputs, outputs, &nvinfer1::DynamicPluginTensorDesc::opt,
                            &extents, &type, &fault)) {
      return Fail(fault);
    }
    settings_.inputs = input_count;
    return 0;
  }

  std::size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* inputs,
                               std::int32_t input_count,
                               const nvinfer1::DynamicPluginTensorDesc* outputs,
                               std::int32_t output_count) const noexcept override {
    Signature signature;
    if (!MakeSignature(input_count, output_count, &signature)) return 0;
    Extents extents;
    DataType type;
    std::string fault;
    if (!FitsAt(signature, inputs, outputs, &nvinfer1::DynamicPluginTensorDesc::max, &extents, &type,
                &fault)) {
      // Bounds of tensors that differ, as in configurePlugin: the largest of each extent.
      extents = Extents();
      for (int i = 0; i < signature.size(); ++i) {
        Widen(signature.at(i), At(inputs, input_count, outputs, i).max, &extents);
      }
    }
    // Room to align the start.
    return Op::WorkspaceSize(settings_, extents, type) + kWorkspaceAlignment;
  }

  // TensorRT adds types and shapes to it.
  const char* getTimingCacheID() noexcept override { return timing_id_.c_str(); }

  // IPluginV3OneRuntime.
  std::int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, std::int32_t input_count,
                             const nvinfer1::PluginTensorDesc* outputs,
                             std::int32_t output_count) noexcept override {
    if (!MakeSignature(input_count, output_count, &signature_)) return 1;
    settings_.inputs = input_count;
    Extents extents;
    DataType type;
    return BindDescs(inputs, outputs, &extents, &type) ? 0 : 1;
  }

  std::int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descs,
                       const nvinfer1::PluginTensorDesc* output_descs, const void* const* inputs,
                       void* const* outputs, void* workspace,
                       cudaStream_t stream) noexcept override {
    if (signature_.inputs.empty() &&
        !MakeSignature(settings_.inputs, Op::OutputCount(settings_), &signature_)) {
      return 1;
    }
    Call call = {};
    if (!BindDescs(input_descs, output_descs, &call.extents, &call.type)) return 1;
    if (workspace == nullptr) return Fail("has no workspace");
    call.input_descs = input_descs;
    call.inputs = inputs;
    call.outputs = outputs;
    call.workspace = reinterpret_cast<void*>(
        RoundUpTo(reinterpret_cast<std::uintptr_t>(workspace), kWorkspaceAlignment));
    call.workspace_size = Op::WorkspaceSize(settings_, call.extents, call.type);
    call.stream = stream;
    call.building = building_;
    const Status status = Op::Enqueue(settings_, call);
    if (status == Status::kOk) return 0;
    return Fail(std::string("could not be launched: ") + StatusName(status) + " (" +
                DeviceText() + ")");
  }

  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    return clone();
  }

  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
    fields_ = ListFields(settings_);
    collection_.nbFields = static_cast<std::int32_t>(fields_.size());
    collection_.fields = fields_.data();
    return &collection_;
  }

 private:
  // An extent of an output by those of q; null where q does not give it.
  static const nvinfer1::IDimensionExpr* Expression(const Extent& extent,
                                                    const std::vector<Extent>& axes,
                                                    const nvinfer1::DimsExprs& dims,
                                                    nvinfer1::IExprBuilder& builder) {
    using Operation = nvinfer1::DimensionOperation;
    if (extent.variable == Variable::kOne) return builder.constant(extent.plus + 1);
    const nvinfer1::IDimensionExpr* expression = nullptr;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i].variable == extent.variable) expression = dims.d[i];
    }
    const auto apply = [&](Operation operation, std::int64_t value) {
      const nvinfer1::IDimensionExpr* constant = builder.constant(value);
      if (expression == nullptr || constant == nullptr) {
        expression = nullptr;
      } else {
        expression = builder.operation(operation, *expression, *constant);
      }
    };
    if (extent.before != 0) apply(Operation::kSUM, extent.before);
    if (extent.divisor != 1) apply(Operation::kCEIL_DIV, extent.divisor);
    if (extent.plus != 0) apply(Operation::kSUM, extent.plus);
    return expression;
  }

  template <typename Value>
  void Append(const char* name, const Value& value) {
    timing_id_ += std::string(name) + "=" + ToText(value) + ";";
  }
  static std::string ToText(int value) { return std::to_string(value); }
  static std::string ToText(float value) { return std::to_string(value); }
  template <typename Enum>
  static std::string ToText(Enum value) {
    return NameOf(value);
  }

  // Logs, and returns what TensorRT takes for failure.
  std::int32_t Fail(const std::string& fault) const {
    Log(nvinfer1::LogSeverity::kERROR, "%s of site %d: %s", Op::kName, settings_.site,
        fault.c_str());
    return 1;
  }

  bool MakeSignature(int inputs, int outputs, Signature* signature) const {
    if (outputs == Op::OutputCount(settings_) &&
        Op::MakeSignature(settings_, inputs, signature)) {
      return true;
    }
    Fail("has " + std::to_string(inputs) + " inputs and " + std::to_string(outputs) +
         " outputs, but takes " + Op::kTakes + " and gives " +
         std::to_string(Op::OutputCount(settings_)));
    return false;
  }

  // What is wrong with a tensor's type; empty if nothing is.
  static std::string TypeFault(const Tensor& tensor, nvinfer1::DataType type,
                               nvinfer1::DataType of_q) {
    DataType known;
    if (!FromTensorRt(of_q, &known)) {
      return std::string("q is ") + Describe(of_q) + ", not float16, bfloat16 or float32";
    }
    if (IsTypeOf(tensor.element, type, of_q)) return "";
    return tensor.name + " is " + Describe(type) + ", not " +
           (tensor.element == Element::kAnyFloat ? "float16, bfloat16 or float32"
                                                 : Describe(TypeOf(tensor.element, of_q))) +
           (tensor.element == Element::kOfQ ? ", which q is" : "");
  }

  // Checks types and shapes; finds the extents and q's type. desc_of(i) is that of tensor i. Says
  // what does not fit.
  template <typename DescOf>
  bool Fits(const Signature& signature, DescOf desc_of, Extents* extents, DataType* type,
            std::string* fault) const {
    *extents = Extents();
    const int inputs = static_cast<int>(signature.inputs.size());
    const nvinfer1::DataType of_q = desc_of(0).type;
    for (int i = 0; i < signature.size(); ++i) {
      const nvinfer1::PluginTensorDesc desc = desc_of(i);
      *fault = TypeFault(signature.at(i), desc.type, of_q);
      if (fault->empty() && desc.format != nvinfer1::TensorFormat::kLINEAR) {
        *fault = signature.at(i).name + " is not in linear format";
      }
      if (fault->empty()) *fault = Match(signature.at(i), desc.dims, extents);
      if (!fault->empty()) return false;
    }
    FromTensorRt(of_q, type);
    *fault = Op::Check(settings_, inputs, *extents);
    if (fault->empty() && (*extents)[Variable::kSites] >= 0 &&
        settings_.site >= extents->Of(Variable::kSites)) {
      *fault = "action has " + std::to_string(extents->Of(Variable::kSites)) + " sites";
    }
    if (fault->empty()) {
      const Status status = Op::CheckSupport(settings_, *extents, *type);
      if (status != Status::kOk) {
        *fault = std::string(StatusName(status)) + ": batch " +
                 std::to_string(extents->Of(Variable::kBatch)) + ", heads " +
                 std::to_string(extents->Of(Variable::kHeads)) + ", tokens " +
                 std::to_string(extents->Of(Variable::kTokens)) + ", head dim " +
                 std::to_string(extents->Of(Variable::kHeadDim)) + " (" + kHeadDims<Op> + ")";
      }
    }
    return fault->empty();
  }

  bool BindDescs(const nvinfer1::PluginTensorDesc* inputs,
                 const nvinfer1::PluginTensorDesc* outputs, Extents* extents,
                 DataType* type) const {
    const int count = static_cast<int>(signature_.inputs.size());
    std::string fault;
    if (Fits(
            signature_, [&](int i) { return i < count ? inputs[i] : outputs[i - count]; }, extents,
            type, &fault)) {
      return true;
    }
    Fail(fault);
    return false;
  }

  static const nvinfer1::DynamicPluginTensorDesc& At(
      const nvinfer1::DynamicPluginTensorDesc* inputs, int input_count,
      const nvinfer1::DynamicPluginTensorDesc* outputs, int i) {
    return i < input_count ? inputs[i] : outputs[i - input_count];
  }

  // The same at a corner of the profile.
  bool FitsAt(const Signature& signature, const nvinfer1::DynamicPluginTensorDesc* inputs,
              const nvinfer1::DynamicPluginTensorDesc* outputs,
              nvinfer1::Dims nvinfer1::DynamicPluginTensorDesc::*corner, Extents* extents,
              DataType* type, std::string* fault) const {
    const int count = static_cast<int>(signature.inputs.size());
    return Fits(
        signature,
        [&](int i) {
          const nvinfer1::DynamicPluginTensorDesc& tensor = At(inputs, count, outputs, i);
          nvinfer1::PluginTensorDesc desc = tensor.desc;
          for (int axis = 0; axis < desc.dims.nbDims; ++axis) {
            if (desc.dims.d[axis] < 0) desc.dims.d[axis] = (tensor.*corner).d[axis];
          }
          return desc;
        },
        extents, type, fault);
  }

  Settings settings_;
  bool building_;
  std::string timing_id_;
  Signature signature_;  // of the last shapes
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_ = {};
};

template <typename Op>
class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  Creator() : fields_(ListFields(defaults_)) {
    for (nvinfer1::PluginField& field : fields_) {
      field.data = nullptr;
      field.length = field.type == nvinfer1::PluginFieldType::kCHAR ? 0 : 1;
    }
    collection_.nbFields = static_cast<std::int32_t>(fields_.size());
    collection_.fields = fields_.data();
  }

  nvinfer1::IPluginV3* createPlugin(const char* name,
                                    const nvinfer1::PluginFieldCollection* given,
                                    nvinfer1::TensorRTPhase phase) noexcept override {
    typename Op::Settings settings;
    std::string fault = given == nullptr ? "attributes are missing" : ReadFields(*given, settings);
    if (fault.empty() && settings.site < 0) fault = "site is negative";
    if (fault.empty()) {
      const char* wrong = settings.Check();
      if (wrong != nullptr) fault = wrong;
    }
    if (!fault.empty()) {
      Log(nvinfer1::LogSeverity::kERROR, "%s %s: %s", Op::kName, name == nullptr ? "" : name,
          fault.c_str());
      return nullptr;
    }
    return new (std::nothrow)
        Plugin<Op>(settings, phase == nvinfer1::TensorRTPhase::kBUILD);
  }

  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }
  const char* getPluginName() const noexcept override { return Op::kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

 private:
  typename Op::Settings defaults_;
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_ = {};
};

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_PLUGIN_H_
