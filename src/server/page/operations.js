// The operations and their parameters, as the contract has them (proto/evenkeel/v1/tensor_ops.proto).
//
// A parameter has the name of its field; `when` says for which other values it is asked for. Types: `choice` (a value of an enum),
// `number`, `integer`, `integers`, `flag`, `maybe` (a flag that may be left out), `vector` (a tensor of numbers), `json`.

const named = (prefix, ...names) => names.map((name) => [`${prefix}${name}`, name]);
const kindIn = (...kinds) => ({ kind }) => kinds.includes(short(kind));

/** The name of an enum's value without its prefix: `BATCH`. */
export const short = (value) => (value ?? "").replace(/^(NORM_KIND|DROPOUT_KIND|DROPOUT_SCALING|CLIP_MODE)_/, "");

const NORMALIZE = {
  id: "normalize",
  method: "Normalize",
  title: "Normalize",
  fields: [
    { name: "kind", type: "choice", options: named("NORM_KIND_", "BATCH", "LAYER", "RMS", "INSTANCE", "GROUP", "L2"), value: "NORM_KIND_BATCH" },
    { name: "groups", type: "integer", value: "2", when: kindIn("GROUP"), hint: "Must divide the number of channels." },
    { name: "axes", type: "integers", placeholder: "the kind’s own", hint: "The axes to pool over, such as 2, 3." },
    { name: "eps", type: "number", placeholder: ({ kind }) => ({ RMS: "1.1920929e-7", L2: "1e-12" })[short(kind)] ?? "1e-5", hint: "Added to the variance; for L2 the least divisor." },
    { name: "channel_axis", type: "integer", placeholder: "1", when: kindIn("BATCH", "INSTANCE", "GROUP") },
    { name: "return_statistics", type: "flag", value: true, hint: "mean and rstd come back." },
    { name: "weight", type: "vector", more: true, placeholder: "1", when: kindIn("BATCH", "LAYER", "RMS", "INSTANCE", "GROUP"), hint: "γ, one number for each channel, or (LAYER, RMS) each place of the pooled axes." },
    { name: "bias", type: "vector", more: true, placeholder: "0", when: kindIn("BATCH", "LAYER", "RMS", "INSTANCE", "GROUP"), hint: "β, shaped as the weight." },
    { name: "running_mean", type: "vector", more: true, placeholder: "none", when: kindIn("BATCH", "INSTANCE"), hint: "One number for each channel." },
    { name: "running_var", type: "vector", more: true, placeholder: "none", when: kindIn("BATCH", "INSTANCE") },
    { name: "training", type: "maybe", more: true, when: kindIn("BATCH", "INSTANCE"), hint: "true: the input’s own statistics. false: the running ones." },
    { name: "momentum", type: "number", more: true, placeholder: "0.1", when: kindIn("BATCH", "INSTANCE") },
    { name: "statistics", type: "json", more: true, placeholder: "none", hint: "A StatisticsPartial as JSON, from MeasureStatistics." },
  ],
};

const DROPOUT = {
  id: "dropout",
  method: "Dropout",
  title: "Dropout",
  fields: [
    { name: "kind", type: "choice", options: named("DROPOUT_KIND_", "ELEMENT", "CHANNEL", "ALPHA", "FEATURE_ALPHA"), value: "DROPOUT_KIND_ELEMENT" },
    { name: "p", type: "number", value: "0.3", slider: [0, 1, 0.01], hint: "The probability that an element is dropped." },
    { name: "seed", type: "integer", value: "42", step: true },
    { name: "offset", type: "integer", placeholder: "0", hint: "The first draw’s index in the seed’s stream." },
    { name: "scaling", type: "choice", options: named("DROPOUT_SCALING_", "INVERTED", "NONE"), value: "DROPOUT_SCALING_INVERTED", hint: "INVERTED multiplies kept elements by 1 / (1 − p)." },
    { name: "channel_axis", type: "integer", placeholder: "1", when: kindIn("CHANNEL", "FEATURE_ALPHA") },
    { name: "return_mask", type: "flag", value: true, hint: "The picture is made of it." },
  ],
};

const CLIP = {
  id: "clip",
  method: "ClipGradients",
  title: "ClipGradients",
  fields: [
    { name: "mode", type: "choice", options: named("CLIP_MODE_", "NORM", "VALUE", "NORM_PER_TENSOR"), value: "CLIP_MODE_NORM" },
    { name: "threshold", type: "number", value: "2.5", slider: [0, 8, 0.05], hint: "The largest norm, or the largest absolute value." },
    { name: "norm_type", type: "number", placeholder: "2", hint: "The order of the norm; inf for the largest absolute value." },
    { name: "epsilon", type: "number", placeholder: "1e-6", when: ({ mode }) => short(mode) !== "VALUE", hint: "Added to the norm before the division." },
    { name: "total_norm", type: "number", more: true, placeholder: "that of these gradients", when: ({ mode }) => short(mode) === "NORM", hint: "A norm that was measured elsewhere." },
    { name: "not_above", type: "flag", more: true, when: ({ mode }) => short(mode) !== "VALUE", hint: "The exact norm of the result never exceeds the threshold." },
    { name: "error_if_nonfinite", type: "flag", more: true, hint: "Fail if a norm is NaN or infinite." },
  ],
};

/** All of them. */
export const OPERATIONS = [NORMALIZE, DROPOUT, CLIP];

/** The name of a field in protobuf's JSON: `return_mask` is `returnMask`. */
export const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** The parameters that are asked for beside these values. */
export const asked = (operation, values) => operation.fields.filter(({ when }) => when === undefined || when(values));

/** The enum of a parameter that is a choice, in the contract. */
export function enumType(method, name) {
  if (name === "scaling") return "DropoutScaling";
  return { Normalize: "NormKind", Dropout: "DropoutKind", ClipGradients: "ClipMode" }[method];
}
