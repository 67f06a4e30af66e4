// A plugin's fields: the attributes of its ONNX node, read from what the parser or a stored engine
// gives, and listed for the creator and for storing.
//
// Settings name their fields once, in
//   template <typename Self, typename Visit> static void VisitFields(Self& self, Visit&& visit)
// which calls visit(name, member, Needed) for each. Members are int, float, Layout, TextPosition,
// Ranking or FrameSink; all but the numbers are strings in a node ("BHSD", "none", "mass").
#ifndef SPARSEDIT_PLUGINS_FIELDS_H_
#define SPARSEDIT_PLUGINS_FIELDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/plan.h"
#include "kernels/qk_norm_rope.h"
#include "kernels/video_tokens.h"
#include "plugins/tensorrt.h"

namespace sparsedit::plugins {

enum class Needed { kYes, kNo };

// What a density budget ranks by; kNone only where the node has no such attribute.
enum class Ranking : int { kNone, kMass, kMassPerToken };

// Which tokens of Q and of K a rotary embedding turns.
enum class RotatedTokens : int { kAll, kFirst, kLast };

const char* NameOf(Layout layout);
const char* NameOf(TextPosition position);
const char* NameOf(Ranking ranking);
const char* NameOf(FrameSink sink);
const char* NameOf(NormKind kind);
const char* NameOf(NormScope scope);
const char* NameOf(RopeForm form);
const char* NameOf(RotatedTokens tokens);

// False where the field has another type, or no such value.
bool ReadField(const nvinfer1::PluginField& field, int& value);
bool ReadField(const nvinfer1::PluginField& field, float& value);
bool ReadField(const nvinfer1::PluginField& field, Layout& value);
bool ReadField(const nvinfer1::PluginField& field, TextPosition& value);
bool ReadField(const nvinfer1::PluginField& field, Ranking& value);
bool ReadField(const nvinfer1::PluginField& field, FrameSink& value);
bool ReadField(const nvinfer1::PluginField& field, NormKind& value);
bool ReadField(const nvinfer1::PluginField& field, NormScope& value);
bool ReadField(const nvinfer1::PluginField& field, RopeForm& value);
bool ReadField(const nvinfer1::PluginField& field, RotatedTokens& value);

// What a value of the member's type is, for messages.
inline const char* KindOf(int) { return "one integer"; }
inline const char* KindOf(float) { return "one number"; }
inline const char* KindOf(Layout) { return "\"BHSD\" or \"BSHD\""; }
inline const char* KindOf(TextPosition) { return "\"none\", \"first\" or \"last\""; }
inline const char* KindOf(Ranking) { return "\"mass\" or \"mass-per-token\""; }
inline const char* KindOf(FrameSink) { return "\"none\", \"published\" or \"corrected\""; }
inline const char* KindOf(NormKind) { return "\"none\", \"rms\" or \"layer\""; }
inline const char* KindOf(NormScope) { return "\"head\" or \"hidden\""; }
inline const char* KindOf(RopeForm) { return "\"none\", \"interleaved\" or \"half\""; }
inline const char* KindOf(RotatedTokens) { return "\"all\", \"first\" or \"last\""; }

// Points to the value.
nvinfer1::PluginField MakeField(const char* name, const int& value);
nvinfer1::PluginField MakeField(const char* name, const float& value);
nvinfer1::PluginField MakeField(const char* name, const Layout& value);
nvinfer1::PluginField MakeField(const char* name, const TextPosition& value);
nvinfer1::PluginField MakeField(const char* name, const Ranking& value);
nvinfer1::PluginField MakeField(const char* name, const FrameSink& value);
nvinfer1::PluginField MakeField(const char* name, const NormKind& value);
nvinfer1::PluginField MakeField(const char* name, const NormScope& value);
nvinfer1::PluginField MakeField(const char* name, const RopeForm& value);
nvinfer1::PluginField MakeField(const char* name, const RotatedTokens& value);

// Sets the settings' members from `given`. An empty result means success, any other says what is
// wrong. Names that the ONNX parser itself uses are passed over.
template <typename Settings>
std::string ReadFields(const nvinfer1::PluginFieldCollection& given, Settings& settings) {
  std::string fault;
  for (std::int32_t i = 0; i < given.nbFields && fault.empty(); ++i) {
    const std::string name = given.fields[i].name == nullptr ? "" : given.fields[i].name;
    bool known = name == "plugin_namespace" || name == "plugin_version";
    Settings::VisitFields(settings, [&](const char* field, auto& member, Needed) {
      if (name != field) return;
      known = true;
      if (!ReadField(given.fields[i], member)) {
        fault = "attribute " + name + " must be " + KindOf(member);
      }
    });
    if (!known) fault = "there is no attribute " + name;
  }
  if (!fault.empty()) return fault;
  Settings::VisitFields(settings, [&](const char* field, auto&, Needed needed) {
    bool found = needed == Needed::kNo;
    for (std::int32_t i = 0; i < given.nbFields; ++i) {
      found = found || std::string(field) == given.fields[i].name;
    }
    if (!found && fault.empty()) fault = std::string("attribute ") + field + " is missing";
  });
  return fault;
}

// The fields with the settings' values, which must outlive them.
template <typename Settings>
std::vector<nvinfer1::PluginField> ListFields(const Settings& settings) {
  std::vector<nvinfer1::PluginField> list;
  Settings::VisitFields(settings, [&](const char* field, const auto& member, Needed) {
    list.push_back(MakeField(field, member));
  });
  return list;
}

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_FIELDS_H_
