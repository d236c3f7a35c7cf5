// Reference meanings of the ops that work on whole tensors: plain loops over actual sizes in double, written
// without the access functions and bodies that code generation uses. Indices are in range (the evaluator
// checks them).
#pragma once

#include "ir/op.h"

namespace smelt::references {

void contract(const TensorReferenceArgs& args);
void read(const TensorReferenceArgs& args);
void broadcast(const TensorReferenceArgs& args);
void transpose(const TensorReferenceArgs& args);
void reshape(const TensorReferenceArgs& args);
void slice(const TensorReferenceArgs& args);
void pad(const TensorReferenceArgs& args);
void gather(const TensorReferenceArgs& args);
void scatter_add(const TensorReferenceArgs& args);
void put_rows(const TensorReferenceArgs& args);
void random_uniform(const TensorReferenceArgs& args);
void random_normal(const TensorReferenceArgs& args);

}  // namespace smelt::references
