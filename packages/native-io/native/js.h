// Small helpers over Node-API: arguments in, values out, one exception for bad calls of our own TypeScript.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <cstdint>
#include <string>
#include <vector>

namespace refill::js {

constexpr size_t kArgumentsMax = 12;

struct Arguments {
  napi_env env;
  size_t count = kArgumentsMax;
  napi_value values[kArgumentsMax];

  Arguments(napi_env e, napi_callback_info info) : env(e) {
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  double number(size_t index) const {
    double value = 0;
    napi_get_value_double(env, values[index], &value);
    return value;
  }
  uint32_t id(size_t index) const { return uint32_t(int64_t(number(index))); }
  bool flag(size_t index) const {
    bool value = false;
    napi_get_value_bool(env, values[index], &value);
    return value;
  }
  std::string text(size_t index) const {
    size_t length = 0;
    napi_get_value_string_utf8(env, values[index], nullptr, 0, &length);
    std::string value(length, '\0');
    napi_get_value_string_utf8(env, values[index], value.data(), length + 1, &length);
    return value;
  }
  /** Memory of a typed array, also over a SharedArrayBuffer; nullptr when it is none. */
  uint8_t* memory(size_t index, size_t& bytes) const {
    void* data = nullptr;
    size_t length = 0;
    napi_typedarray_type type;
    bytes = 0;
    if (napi_get_typedarray_info(env, values[index], &type, &length, &data, nullptr, nullptr) != napi_ok)
      return nullptr;
    static const size_t kWidths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    bytes = length * kWidths[type];
    return static_cast<uint8_t*>(data);
  }
  std::string bytes(size_t index) const {
    size_t length;
    const uint8_t* data = memory(index, length);
    return data == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(data), length);
  }
};

inline napi_value number(napi_env env, double value) {
  napi_value out;
  napi_create_double(env, value, &out);
  return out;
}
inline napi_value boolean(napi_env env, bool value) {
  napi_value out;
  napi_get_boolean(env, value, &out);
  return out;
}
inline napi_value text(napi_env env, const std::string& value) {
  napi_value out;
  napi_create_string_utf8(env, value.data(), value.size(), &out);
  return out;
}
inline napi_value undefined(napi_env env) {
  napi_value out;
  napi_get_undefined(env, &out);
  return out;
}
inline napi_value numbers(napi_env env, const std::vector<double>& values) {
  napi_value out;
  napi_create_array_with_length(env, values.size(), &out);
  for (uint32_t i = 0; i < values.size(); i++) napi_set_element(env, out, i, number(env, values[i]));
  return out;
}
inline napi_value texts(napi_env env, const std::vector<std::string>& values) {
  napi_value out;
  napi_create_array_with_length(env, values.size(), &out);
  for (uint32_t i = 0; i < values.size(); i++) napi_set_element(env, out, i, text(env, values[i]));
  return out;
}

}  // namespace refill::js
