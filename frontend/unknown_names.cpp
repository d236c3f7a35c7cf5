#include "frontend/unknown_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "frontend/foreign_words.h"
#include "frontend/intrinsics.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

void UnknownNames::note(std::string_view name, Span span, Place place, const std::function<Locals()>& locals,
                        bool in_formula) {
  const auto [known, is_new] = places_.try_emplace(std::string(name), unknown_.size());
  if (!is_new) {
    Unknown& u = unknown_[known->second];
    ++u.places;
    u.net |= place == Place::Net;
    if (span.file != u.span.file || span.begin > u.span.begin) return;
    u.span = span;  // sections are read in another order than they stand in
    u.place = place;
    u.locals = locals();
    u.in_formula = in_formula;
    return;
  }
  const bool shown = unknown_.size() < diagnostics_.most();
  unknown_.push_back({std::string(name), span, place, shown ? locals() : Locals(), in_formula, place == Place::Net});
}

void UnknownNames::report(const std::set<std::string>& used, const std::function<Span(std::string_view)>& declaration) {
  for (const Unknown& u : unknown_) {
    const ast::LayerDecl* const idle = is_misspelt_model(u) ? nullptr : idle_layer(u, used);
    const bool lacks_model = u.net || idle != nullptr;
    if (scope_.ast.models.empty() && lacks_model) continue;  // reported, once for all
    const bool shown = !diagnostics_.is_full();
    const auto [module, decl] = library_.find(u.name);
    const bool layer = std::holds_alternative<const ast::LayerDecl*>(decl);
    Diagnostic& diagnostic = diagnostics_.report(Diag::E0301, u.span,
                                                 layer ? fmt::format("layer `{}` is not imported", u.name)
                                                       : fmt::format("unknown name `{}`", printable(u.name)));
    if (u.places > 1) {
      diagnostic.note(u.places == 2 ? "it stands at one more place"
                                    : fmt::format("it stands at {} more places", u.places - 1));
    }
    if (!shown) continue;
    if (idle != nullptr)
      ask_for_model(u, *idle, diagnostic);
    else if (layer)
      diagnostic.with_help(fmt::format("add `import std.{} ({})`", module->name, u.name));
    else if (u.in_formula)
      diagnostic.with_help("the body of `sum[..]` is a product: write a sum in parentheses, `sum[i] (a[i] + b[i])`");
    else
      advise(u, diagnostic, used, declaration);
  }
}

bool UnknownNames::is_misspelt_model(const Unknown& u) const {
  std::vector<std::string> models;
  for (const ast::ModelDecl& model : scope_.ast.models) models.push_back(model.name.text);
  return !did_you_mean(u.name, models).empty();
}

/// The only layer of the file of which there is no model and which no layer has in it, where a net is missing.
const ast::LayerDecl* UnknownNames::idle_layer(const Unknown& u, const std::set<std::string>& used) const {
  if ((u.place != Place::Net && u.place != Place::Callee) || library_.find(u.name).first != nullptr) return nullptr;
  if (!help_for_foreign_name(u.name).empty()) return nullptr;
  const ast::LayerDecl* idle = nullptr;
  for (const ast::LayerDecl& decl : scope_.ast.layers) {
    if (used.contains(decl.name.text)) continue;
    if (idle != nullptr) return nullptr;
    idle = &decl;
  }
  return idle;
}

void UnknownNames::ask_for_model(const Unknown& u, const ast::LayerDecl& layer, Diagnostic& diagnostic) {
  diagnostic.span = layer.span;
  diagnostic.caret("there is no model of this layer").label(u.span, "the net is applied here");
  diagnostic.with_help(fmt::format("write `model {} = {}{}`", printable(u.name), layer.name.text,
                                   layer.attributes.empty() ? "" : "{..}"));
}

/// The nearest names of what fits there, else of all; else how such a name is declared.
void UnknownNames::advise(const Unknown& u, Diagnostic& diagnostic, const std::set<std::string>& used,
                          const std::function<Span(std::string_view)>& declaration) const {
  if (std::string help = help_for_foreign_name(u.name); !help.empty()) {
    diagnostic.with_help(std::move(help));
    return;
  }
  if (u.place == Place::Position && u.name.size() == 1 && u.name >= "a") {
    diagnostic.with_help(
        fmt::format("the index of a formula stands on its left side too: `y[{0}, ..] = x[{0}, ..]`", u.name));
    return;
  }
  for (std::string help : {help_for_row(u), help_for_schedule(u), help_for_result(u)}) {
    if (help.empty()) continue;
    diagnostic.with_help(std::move(help));
    return;
  }
  const std::vector<std::string> fitting = names_for(u, true), all = names_for(u, false);
  std::string near = did_you_mean(u.name, fitting);
  if (near.empty() && u.name.size() > 1) near = did_you_mean(u.name, all);
  if (near.empty()) {
    diagnostic.with_help(how_to_declare(u));
    return;
  }
  for (const std::string& name : all) {  // a misspelt declaration: nothing else uses it
    if (near.find("`" + name + "`") == std::string::npos || used.contains(name)) continue;
    const auto local = std::ranges::find_if(u.locals, [&](const auto& entry) { return entry.first == name; });
    const Span place = local != u.locals.end() ? local->second : declaration(name);
    if (place.empty()) continue;
    if (u.places > 1) {  // then it is the declaration that is misspelt
      diagnostic.span = place;
      diagnostic.caret(fmt::format("`{}` is declared here, and never used", name)).label(u.span, "first used here");
    } else {
      diagnostic.label(place, "declared here, and never used");
    }
    break;
  }
  diagnostic.with_help(std::move(near));
}

std::vector<std::string> UnknownNames::names_for(const Unknown& u, bool fitting) const {
  std::vector<std::string> names;
  const auto is_capital = [](std::string_view name) { return !name.empty() && name[0] >= 'A' && name[0] <= 'Z'; };
  const auto add = [&](std::string_view name, bool callable, bool value) {
    const bool fits = u.place == Place::Value || u.place == Place::Position ? value
                      : u.place == Place::Callee                            ? callable
                      : u.place == Place::Layer                             ? callable && is_capital(name)
                      : u.place == Place::Dim                               ? is_capital(name)
                                                                            : is_capital(name) || value;
    if (!fitting || fits) names.emplace_back(name);
  };
  for (const auto& [local, span] : u.locals) add(local, true, true);
  for (const auto& [declared, decl] : scope_.names) {
    const bool function =
        std::holds_alternative<const ast::FnDecl*>(decl) || std::holds_alternative<const ast::LayerDecl*>(decl);
    const bool model =
        std::holds_alternative<const ast::ModelDecl*>(decl) || std::holds_alternative<const ast::EmaItem*>(decl);
    if (u.place != Place::Net || !fitting || model) add(declared, function || model, !function);
  }
  if (u.place == Place::Dim && fitting) return names;
  for (const std::string& name : library_.names()) add(name, true, false);
  for (const std::string_view name : intrinsic_names()) add(name, true, false);
  for (const std::string_view type : {"f32", "f64", "f16", "bf16", "i32", "i64", "bool"}) add(type, false, true);
  return names;
}

bool UnknownNames::in_train(const Unknown& u) const {
  return std::ranges::any_of(scope_.ast.trains, [&](const ast::TrainDecl& train) {
    return u.span.file == train.span.file && u.span.begin >= train.span.begin && u.span.end <= train.span.end;
  });
}

/// The iteration, in a number of the train section.
std::string UnknownNames::help_for_schedule(const Unknown& u) const {
  constexpr std::string_view kIterations[] = {"i", "n", "t", "iter", "iteration", "step", "epoch", "total", "progress"};
  if (!in_train(u) || std::ranges::find(kIterations, u.name) == std::end(kIterations)) return {};
  return "a number that changes is a function that ends in `i, n`, iterations done and horizon: `fn ramp(top, i, n) = "
         "top * "
         "i / n`, and `lr = ramp(1e-3)`";
}

/// A size that the head of a layer promises and its body computes. Short names are near to many others.
std::string UnknownNames::help_for_result(const Unknown& u) const {
  constexpr size_t kShort = 2;
  if (u.place != Place::Dim || u.name.size() > kShort) return {};
  for (const ast::LayerDecl& layer : scope_.ast.layers) {
    if (!layer.result.valid()) continue;
    const Span result = scope_.ast[layer.result].span;
    if (u.span.file != result.file || u.span.begin < result.begin || u.span.end > result.end) continue;
    return fmt::format(
        "a size that the body makes is declared there, of the sizes of the head: `dim {} = (H - 1) / 2 + 1`",
        printable(u.name));
  }
  return {};
}

/// A field or a split of the data in an action of the train section.
std::string UnknownNames::help_for_row(const Unknown& u) const {
  if (!in_train(u)) return {};
  for (const ast::DataDecl& data : scope_.ast.data) {
    for (const ast::FieldDecl& entry : data.entries) {
      const bool is_split = !entry.type.valid();
      if (entry.name.text != u.name && std::ranges::find(entry.others, u.name, &ast::Ident::text) == entry.others.end())
        continue;
      return fmt::format(
          "an action has no rows of the data: it shows constants and draws. Rows go through an export, "
          "`smelt run RUN EXPORT --input {}=rows.npy -o result.png`",
          is_split ? "x" : u.name);
    }
  }
  return {};
}

std::string UnknownNames::how_to_declare(const Unknown& u) {
  const std::string name = printable(u.name);
  switch (u.place) {
    case Place::Dim: return fmt::format("declare it: `dim {} = ..`, a size or a dim of the same size", name);
    case Place::Layer: return fmt::format("declare it: `layer {}(x: f32[B, X]) -> f32[B, Y] {{ .. }}`", name);
    case Place::Net: return fmt::format("declare it: `model {} = ..`", name);
    case Place::Callee: return fmt::format("declare it: `fn {0}(..) = ..`, or `model {0} = ..` for a net", name);
    case Place::Value:
    case Place::Position: break;
  }
  constexpr size_t kFewNames = 8;
  std::vector<std::string> locals;
  for (const auto& [local, span] : u.locals) locals.push_back(fmt::format("`{}`", local));
  if (locals.empty()) return fmt::format("declare it: `config {0} = ..`, `const {0}: ..` or `dim {0} = ..`", name);
  return locals.size() > kFewNames
             ? "bind it on a line before this one"
             : fmt::format("bind it on a line before this one; the body has {}", fmt::join(locals, ", "));
}

}  // namespace smelt::frontend
