#include "plugins/fields.h"

#include <cstring>
#include <limits>

namespace sparsedit::plugins {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

// A string; the zero at its end is counted by some and left out by others.
std::string TextOf(const PluginField& field) {
  if (field.type != PluginFieldType::kCHAR || field.data == nullptr || field.length < 0) return "";
  const char* text = static_cast<const char*>(field.data);
  return std::string(text, strnlen(text, static_cast<std::size_t>(field.length)));
}

template <typename Value>
bool ReadName(const PluginField& field, std::initializer_list<Value> values, Value& value) {
  for (const Value candidate : values) {
    if (TextOf(field) == NameOf(candidate)) {
      value = candidate;
      return true;
    }
  }
  return false;
}

PluginField NameField(const char* name, const char* text) {
  return PluginField(name, text, PluginFieldType::kCHAR,
                     static_cast<std::int32_t>(std::strlen(text)));
}

}  // namespace

const char* NameOf(Layout layout) { return layout == Layout::kBhsd ? "BHSD" : "BSHD"; }

const char* NameOf(TextPosition position) {
  switch (position) {
    case TextPosition::kNone: return "none";
    case TextPosition::kFirst: return "first";
    case TextPosition::kLast: return "last";
  }
  return "";
}

const char* NameOf(Ranking ranking) {
  switch (ranking) {
    case Ranking::kNone: return "none";
    case Ranking::kMass: return "mass";
    case Ranking::kMassPerToken: return "mass-per-token";
  }
  return "";
}

const char* NameOf(FrameSink sink) {
  switch (sink) {
    case FrameSink::kNone: return "none";
    case FrameSink::kPublished: return "published";
    case FrameSink::kCorrected: return "corrected";
  }
  return "";
}

const char* NameOf(NormKind kind) {
  switch (kind) {
    case NormKind::kNone: return "none";
    case NormKind::kRms: return "rms";
    case NormKind::kLayer: return "layer";
  }
  return "";
}

const char* NameOf(NormScope scope) { return scope == NormScope::kHead ? "head" : "hidden"; }

const char* NameOf(RopeForm form) {
  switch (form) {
    case RopeForm::kNone: return "none";
    case RopeForm::kInterleaved: return "interleaved";
    case RopeForm::kHalf: return "half";
  }
  return "";
}

const char* NameOf(RotatedTokens tokens) {
  switch (tokens) {
    case RotatedTokens::kAll: return "all";
    case RotatedTokens::kFirst: return "first";
    case RotatedTokens::kLast: return "last";
  }
  return "";
}

bool ReadField(const PluginField& field, int& value) {
  if (field.data == nullptr || field.length != 1) return false;
  std::int64_t wide;
  if (field.type == PluginFieldType::kINT32) {
    wide = *static_cast<const std::int32_t*>(field.data);
  } else if (field.type == PluginFieldType::kINT64) {
    std::memcpy(&wide, field.data, sizeof wide);
  } else {
    return false;
  }
  value = static_cast<int>(wide);
  return value == wide;
}

bool ReadField(const PluginField& field, float& value) {
  if (field.data == nullptr || field.length != 1) return false;
  if (field.type == PluginFieldType::kFLOAT32) {
    value = *static_cast<const float*>(field.data);
  } else if (field.type == PluginFieldType::kFLOAT64) {
    double wide;
    std::memcpy(&wide, field.data, sizeof wide);
    value = static_cast<float>(wide);
  } else {
    return false;
  }
  return true;
}

bool ReadField(const PluginField& field, Layout& value) {
  return ReadName(field, {Layout::kBhsd, Layout::kBshd}, value);
}

bool ReadField(const PluginField& field, TextPosition& value) {
  return ReadName(field, {TextPosition::kNone, TextPosition::kFirst, TextPosition::kLast}, value);
}

bool ReadField(const PluginField& field, Ranking& value) {
  // A stored engine lists every field, also the one that its node did not have.
  return ReadName(field, {Ranking::kNone, Ranking::kMass, Ranking::kMassPerToken}, value);
}

bool ReadField(const PluginField& field, FrameSink& value) {
  return ReadName(field, {FrameSink::kNone, FrameSink::kPublished, FrameSink::kCorrected}, value);
}

bool ReadField(const PluginField& field, NormKind& value) {
  return ReadName(field, {NormKind::kNone, NormKind::kRms, NormKind::kLayer}, value);
}

bool ReadField(const PluginField& field, NormScope& value) {
  return ReadName(field, {NormScope::kHead, NormScope::kHidden}, value);
}

bool ReadField(const PluginField& field, RopeForm& value) {
  return ReadName(field, {RopeForm::kNone, RopeForm::kInterleaved, RopeForm::kHalf}, value);
}

bool ReadField(const PluginField& field, RotatedTokens& value) {
  return ReadName(field, {RotatedTokens::kAll, RotatedTokens::kFirst, RotatedTokens::kLast}, value);
}

PluginField MakeField(const char* name, const int& value) {
  return PluginField(name, &value, PluginFieldType::kINT32, 1);
}

PluginField MakeField(const char* name, const float& value) {
  return PluginField(name, &value, PluginFieldType::kFLOAT32, 1);
}

PluginField MakeField(const char* name, const Layout& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const TextPosition& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const Ranking& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const FrameSink& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const NormKind& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const NormScope& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const RopeForm& value) {
  return NameField(name, NameOf(value));
}

PluginField MakeField(const char* name, const RotatedTokens& value) {
  return NameField(name, NameOf(value));
}

}  // namespace sparsedit::plugins
