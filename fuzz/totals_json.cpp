// Totals as JSON, and back.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fuzz/campaign.h"

namespace smelt::fuzz {
namespace {

using Json = nlohmann::ordered_json;

struct Counter {
  const char* name;
  int64_t Totals::* field;
};
constexpr Counter kCounters[] = {
    {"graphs", &Totals::graphs},
    {"nodes", &Totals::nodes},
    {"with_gradients", &Totals::gradients},
    {"second_order", &Totals::second_order},
    {"mistrusted", &Totals::mistrusted},
    {"thrown_away", &Totals::thrown_away},
    {"dropped_results", &Totals::dropped_results},
    {"pass_orders", &Totals::pass_orders},
    {"passes", &Totals::passes},
    {"rewritten", &Totals::rewritten},
    {"derivatives", &Totals::derivatives},
    {"rewrites", &Totals::rewrites},
    {"fusion_pairs", &Totals::fusion_pairs},
    {"halves", &Totals::halves},
    {"free_halves", &Totals::free_halves},
    {"budgets", &Totals::budgets},
    {"computed_again", &Totals::computed_again},
    {"windows", &Totals::windows},
    {"loops", &Totals::loops},
};

}  // namespace

std::string to_json(const Totals& totals) {
  Json json;
  json["seed"] = totals.seed;
  for (const Counter& counter : kCounters) json[counter.name] = totals.*counter.field;
  json["cpu_seconds"] = totals.cpu_seconds;
  json["ops"] = totals.ops;
  json["mismatches"] = Json::array();
  for (const Failure& failure : totals.failures) {
    json["mismatches"].push_back({{"seed", failure.seed}, {"check", failure.check}, {"what", failure.what}});
  }
  return json.dump();
}

Result<Totals> totals_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    Totals totals;
    totals.seed = json.at("seed").get<uint64_t>();
    for (const Counter& counter : kCounters)
      totals.*counter.field = json.value(counter.name, int64_t{0});  // some are younger than kept totals
    totals.cpu_seconds = json.at("cpu_seconds").get<double>();
    totals.ops = json.at("ops").get<std::map<std::string, int64_t>>();
    for (const Json& entry : json.at("mismatches")) {
      totals.failures.push_back({entry.at("seed").get<uint64_t>(), entry.at("check").get<std::string>(),
                                 entry.at("what").get<std::string>()});
    }
    return totals;
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::Input, fmt::format("not the totals of a fuzzing run: {}", error.what()),
                "leave the file out to start anew");
  }
}

}  // namespace smelt::fuzz
