"""Mutants of model files and of what stands beside them: settings, paths, headers, options, parameters of another run. `run` calls it."""
import os, random, re, struct

TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[A-Za-z_][A-Za-z_0-9]*|\d[\d_.eE]*|\|>|<-|<=|>=|==|!=|\.\.|\n|[^\sA-Za-z0-9_]')
NUMBERS = ("0", "1", "-1", "2", "7", "128", "100000", "2147483647", "2147483648", "4294967296", "9223372036854775807",
           "9223372036854775808", "1e400", "1e-400", "0.5", "nan", "inf", "1_000", "0x10", "1..2", "1.", "08")
WORDS = ("B", "x", "if", "else", "scan", "repeat", "with", "over", "as", "updates", "param", "state", "data", "train", "f32", "ix<B>", "grad",
         "field(0)", "training", "none", "true", "\u202e", "\x00", "\x1b[2J", "é", "x" * 300, "()", "[]", "{}", "(((((", "]]]]", "|>", "?[", "\\", "\r")
AT_ONCE = 100  # model files that one process checks


def mutate_text(rng, text):
    """Edits of bytes, of tokens and of lines, one to four of them."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not text:
            return "x"
        kind = rng.randrange(10)
        if kind == 0:  # bytes
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(("", chr(rng.randrange(1, 128)), text[at] * 2, rng.choice(WORDS))) + text[at + 1:]
            continue
        if kind == 1:  # a stretch, cut, doubled or moved
            a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            b = min(b, a + rng.choice((3, 30, 300)))
            cut = text[a:b]
            text = rng.choice((text[:a] + text[b:], text[:b] + cut + text[b:], text[b:] + cut + text[:a]))
            continue
        if kind == 2:
            lines = text.split("\n")
            a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
            if rng.random() < .4:
                del lines[a]
            elif rng.random() < .5:
                lines.insert(b, lines[a])
            else:
                lines[a], lines[b] = lines[b], lines[a]
            text = "\n".join(lines)
            continue
        spans = [m.span() for m in TOKEN.finditer(text)]
        if not spans:
            continue
        a, b = rng.choice(spans)
        token = text[a:b]
        if kind in (3, 4):
            c, d = rng.choice(spans)
            text = text[:a] + text[c:d] + text[b:]
        elif kind == 5:
            text = text[:a] + text[b:]
        elif kind == 6:
            text = text[:b] + rng.choice((" ", "")) + token + text[b:]
        elif kind == 7:
            digits = [s for s in spans if text[s[0]].isdigit()]
            a, b = rng.choice(digits or spans)
            text = text[:a] + rng.choice(NUMBERS) + text[b:]
        elif kind == 8:
            text = text[:a] + rng.choice(WORDS) + text[b:]
        else:
            at = rng.randrange(len(token))
            text = text[:a] + token[:at] + rng.choice(("", "q", token[at] * 2)) + token[at + 1:] + text[b:]
    return text


def sources(root):
    found = []
    for folder in ("examples", "examples/zoo", "tests/files/right", "tests/files/quiet"):
        directory = os.path.join(root, folder)
        found += [os.path.join(directory, f) for f in sorted(os.listdir(directory)) if f.endswith(".smelt")]
    return [f for f in found if os.path.getsize(f) < 12000]


def check_models(trials, count, root):
    """`smelt check` of `count` mutants: it never crashes, hangs or has an internal error. A hundred are checked by one process; when it falls
    short, each of them by its own."""
    rng = random.Random(trials.seed + 4)
    texts = [(os.path.basename(f), open(f, encoding="utf-8").read()) for f in sources(root)]
    for begin in range(0, count, AT_ONCE):
        batch = []
        for k in range(begin, min(begin + AT_ONCE, count)):
            name, text = rng.choice(texts)
            path = f"mutant{k}_{name}"
            trials.write(path, mutate_text(rng, text).encode("utf-8", "surrogatepass"))
            batch.append(path)
        code, err = trials.run("check", *batch, seconds=300)
        good = code in range(0, 8) and "internal error" not in err
        trials.seen[f"models: {'as they should be' if good else 'looked at one by one'}"] += len(batch)
        for path in batch:
            if not good:
                code, err = trials.run("check", path)
                fine = code in range(0, 8)
                trials.expect("model", path, fine, code, err)
                if not fine or "internal error" in err:
                    trials.keep(path)
            os.remove(os.path.join(trials.work, path))


INPUTS = """import std.nn (Dense)
dim B <= 8, X = 3, Class = 4
config width = 6, rate = 0.01, wide = true, word = "a"
data d {{
  train = csv("{csv}"){split}
  x: f32[X] = row()[0 .. 3]
  y: ix<Class> = field({label})
}}
layer Net{{h}}(x: f32[B, X]) -> f32[B, Class] {{ x |> hid: Dense{{h, act=tanh}} |> out: Dense{{Class}} }}
model net = Net{{width}} from "{weights}"
objective loss(x: f32[B, X], y: ix<Class>[B]) updates net {{ mean(softmax_xent(net(x), y, over=Class)) }}
metric size(x: f32[B, X]) = mean(net(x) ^ 2)
export f(x: f32[B, X]) -> f32[B, Class] = net(x)
train {{ data d
  batch B = {batch}
  {length}
  seed {seed}
  step loss with {step}
  every {every} {{ {action} }}
  stop when {stop} }}
"""
GOOD = {"csv": "x.csv", "split": "", "label": "3", "weights": "w.safetensors", "batch": "8", "length": "epochs 2", "seed": "3",
        "step": "adam(lr = rate)", "every": "3 steps", "action": "eval train: size; checkpoint keep 3", "stop": "loss < 0.001"}
PATHS = ("", "/", ".", "..", "../x.csv", "/dev/null", "/dev/zero", "/proc/self/mem", "x.csv/", "x.csv\\n", "*", "**", "[", "x\u202e.csv", "~", "a" * 5000,
         "nothing", "x.csv.gz", "http://x/y", "x.csv\\0", "w.safetensors", "m.smelt", "-")
HEADERS = ("a,b,c,y", "a;b;c;y", "a\tb\tc\ty", '"a","b","c","y"', "a,b,c", "a,,c,y", ",,,", "", "1,2,3,4", "a,b,c,y,", '"a', "\ufeffa,b,c,y", "a b c y",
           "nan,inf,1e999,-0", "a,a,a,a", "x" * 100000, "\0,\0,\0,\0", "a,b,c,y\r", "# a,b,c,y", "a,b;c,y")
SETS = ("width=0", "width=-1", "width=1e9", "width=99999999999", "width=6.5", "width=true", "width=", "=6", "width", "width=6=7", "rate=nan", "rate=-1",
        "rate=1e400", "rate=x", "wide=1", "wide=maybe", "word=", "word=\x1b[2J", "wide=false", "nothing=1", "wdith=6", "width= 6", "width=0x10", "rate=0",
        "width=6 + 1", "width=B", "word=" + "x" * 100000)
DATA = ("d=", "=.", "d", "d=/nonexistent", "d=.", "e=.", "d=/dev/null", "d=x.csv", "d=" + "y" * 5000, "d=.=.", "d=\x1b[2J", "d=..", "net=.", "d=./")


def forged(trials, rng, good):
    return trials.forge(rng, good) if rng.random() < .6 else trials.mutate(rng, good, 600)


def check_inputs(trials, count):
    """Settings, data directories, headers of CSV, paths, options of sections, and the parameters of a `from`."""
    rng = random.Random(trials.seed + 5)
    rows = [f"{k % 7 / 7:.3f},{k % 5 / 5:.3f},{k % 3 / 3:.3f},{k % 4}" for k in range(40)]
    trials.write("x.csv", "a,b,c,y\n" + "\n".join(rows) + "\n")
    plain = INPUTS.format(**GOOD).replace(' from "w.safetensors"', "")
    trials.write("m.smelt", plain)
    code, err = trials.run("train", "m.smelt", "-o", "w", "--steps", "4", "--threads", "1")
    assert code == 0, err
    weights = trials.read("w/" + trials.read("w/last").decode().strip())
    for k in range(count):
        parts, header, arguments, kind = dict(GOOD), "a,b,c,y", [], rng.randrange(6)
        trials.write("w.safetensors", forged(trials, rng, weights) if kind == 0 else weights)
        if kind == 1:
            arguments = ["--set", trials.mutate(rng, rng.choice(SETS).encode(), 99).replace(b"\0", b"0") if rng.random() < .5 else rng.choice(SETS)]
        elif kind == 2:
            arguments = ["--data", rng.choice(DATA)]
        elif kind == 3:
            header = rng.choice(HEADERS)
        elif kind == 4:
            parts[rng.choice(("csv", "weights"))] = rng.choice(PATHS)
        elif kind == 5:
            name = rng.choice([p for p in GOOD if p not in ("csv", "weights")])
            parts[name] = rng.choice(NUMBERS) if rng.random() < .4 else mutate_text(rng, GOOD[name] or ' |> split(train = 0.5, valid = 0.5)')
        body = header.encode("utf-8") + b"\n" + "\n".join(rows).encode() + b"\n"
        trials.write("x.csv", trials.mutate(rng, body, 60) if kind == 3 and rng.random() < .5 else body)
        trials.write("m.smelt", INPUTS.format(**parts).encode("utf-8", "surrogatepass"))
        command = ["train", "m.smelt", "-o", "r", "--force", "--steps", "2"] if rng.random() < .7 else ["check", "m.smelt"]
        threads = ["--threads", "1"] if command[0] == "train" else []
        code, err = trials.run(*command, *threads, *arguments)
        what = ("from", "--set", "--data", "header", "path", "option")[kind]
        fine = code in range(0, 8) and not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", err)
        trials.expect("inputs", f"{what} {k} {arguments} {header[:30]!r}", fine, code, err)
        if not fine:
            trials.keep("m.smelt")
