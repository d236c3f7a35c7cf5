" Smelt: networks, VAEs and GANs in one text file.
if exists("b:current_syntax")
  finish
endif

syntax match   smeltComment  "#.*$" contains=@Spell
syntax region  smeltString   start=+"+ skip=+\\.+ end=+"+ oneline
syntax match   smeltSection  "^\%(import\|dim\|config\|const\|data\|layer\|model\|fn\|metric\|export\|optimiser\|objective\|train\)\>"
syntax match   smeltTrain    "^\s\+\zs\%(data\|batch\|epochs\|steps\|seed\|precision\|step\|loop\|ema\|every\|stop\|slow\|eval\|image\|text\|audio\|checkpoint\|dim\)\>\%(\s*[=(.~:,]\)\@!"
syntax keyword smeltStatement if else repeat scan reverse until param state report assert yield updates vjp when
syntax keyword smeltWord     and or not in as
syntax keyword smeltType     f32 f64 f16 bf16 i32 i64 u8 bool ix
syntax keyword smeltConstant true false none inf pi training
syntax match   smeltNumber   "\<\d[0-9_]*\%(\.\d\+\)\?\%([eE][-+]\?\d\+\)\?\>"
syntax match   smeltCapital  "\<\u\w*\>"
syntax match   smeltOperator "|>\|<-\|->\|\~"

highlight default link smeltComment   Comment
highlight default link smeltString    String
highlight default link smeltSection   Keyword
highlight default link smeltTrain     Statement
highlight default link smeltStatement Statement
highlight default link smeltWord      Operator
highlight default link smeltType      Type
highlight default link smeltConstant  Constant
highlight default link smeltNumber    Number
highlight default link smeltCapital   Identifier
highlight default link smeltOperator  Operator

let b:current_syntax = "smelt"
