// Evaluates a model file: compile-time values are computed, tensor expressions become nodes of the graph at hand.
//
// A body is evaluated once for each function that calls it (a step, an evaluation, a metric, an export). What outlives
// one evaluation is in the classes below: dims in Shapes, layers in Layers, variables in the experiment. Each names
// what it uses in its constructor.
#pragma once

#include <optional>

#include "frontend/averages.h"
#include "frontend/calls.h"
#include "frontend/data_section.h"
#include "frontend/derivatives.h"
#include "frontend/distributions.h"
#include "frontend/evaluator.h"
#include "frontend/formula.h"
#include "frontend/function_builder.h"
#include "frontend/functions.h"
#include "frontend/intrinsics.h"
#include "frontend/layers.h"
#include "frontend/names.h"
#include "frontend/scan.h"
#include "frontend/selectors.h"
#include "frontend/signatures.h"
#include "frontend/step_lines.h"
#include "frontend/train_section.h"
#include "frontend/variables.h"

namespace smelt::frontend {

class Elaborator {
 public:
  Elaborator(const SourceMap& sources, const Library& library, const FileScope& file, const FrontendOptions& options,
             Diagnostics& diagnostics)
      : sources_(sources), library_(library), file_(file), options_(options), diagnostics_(diagnostics) {}

  std::optional<Experiment> run();

 private:
  bool build();
  void look_for_lints();
  void tell_of_bindings();

  const SourceMap& sources_;
  const Library& library_;
  const FileScope& file_;
  const FrontendOptions& options_;
  Diagnostics& diagnostics_;
  Experiment experiment_;

  // Expressions need declarations, and those expressions: these refer to each other, and are used when all are there.
  Scopes scopes_{file_, library_};
  Shapes shapes_{experiment_, diagnostics_};
  GraphWriter graph_{experiment_, scopes_, shapes_, diagnostics_, options_.limits};
  FunctionBuilder functions_{file_, scopes_, graph_};
  Provided provided_{scopes_, shapes_, graph_, calls_, distributions_, derivatives_, data_, diagnostics_};
  Names names_{file_,       library_,   options_, experiment_, scopes_,   shapes_,    graph_,
               signatures_, variables_, layers_,  averages_,   formulas_, evaluator_, diagnostics_};
  Signatures signatures_{scopes_, shapes_, graph_, names_, distributions_, evaluator_, diagnostics_};
  Variables variables_{file_,          experiment_, scopes_,    shapes_,     graph_,
                       distributions_, functions_,  evaluator_, diagnostics_};
  Calls calls_{library_, scopes_, shapes_, graph_, signatures_, layers_, evaluator_, provided_, diagnostics_};
  Layers layers_{file_, scopes_, shapes_, graph_, names_, signatures_, calls_, evaluator_, diagnostics_};
  Averages averages_{file_, experiment_, scopes_, shapes_, graph_, functions_, layers_, evaluator_, diagnostics_};
  Selectors selectors_{experiment_, scopes_, shapes_, graph_, evaluator_, diagnostics_};
  Distributions distributions_{scopes_, shapes_, graph_, calls_, diagnostics_};
  Derivatives derivatives_{experiment_, shapes_, graph_, diagnostics_};
  Formulas formulas_{sources_, scopes_, shapes_, graph_, signatures_, evaluator_, scans_, diagnostics_};
  Scans scans_{scopes_, shapes_, graph_, signatures_, distributions_, evaluator_, diagnostics_};
  Evaluator evaluator_{sources_, scopes_,    shapes_,        graph_,    names_, signatures_,  variables_,     calls_,
                       layers_,  selectors_, distributions_, formulas_, scans_, diagnostics_, options_.limits};
  DataSection data_{file_, options_, experiment_, scopes_, shapes_, graph_, signatures_, evaluator_, diagnostics_};
  StepLines step_lines_{file_,      library_,   experiment_, scopes_,   shapes_, graph_,
                        evaluator_, selectors_, variables_,  averages_, calls_,  diagnostics_};
  Functions bodies_{file_,      experiment_, scopes_,     shapes_,   graph_,     signatures_, distributions_,
                    selectors_, data_,       step_lines_, averages_, functions_, evaluator_,  diagnostics_};
  TrainSection train_{file_,  options_, experiment_, scopes_,    shapes_,    graph_,
                      names_, data_,    step_lines_, functions_, evaluator_, diagnostics_};
};

}  // namespace smelt::frontend
