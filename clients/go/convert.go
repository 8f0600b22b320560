package evenkeel

// Slice is the elements of a tensor as a slice of this type. If the tensor has elements of the type, the slice is the tensor's
// memory. Otherwise it is a copy, rounded to nearest even.
func Slice[T Element](t *Tensor) []T {
	if dtypeFor[T]() == t.dtype {
		return elementsOf[T](t.bytes)
	}
	switch t.dtype {
	case F32:
		return converted[T](elementsOf[float32](t.bytes), func(x float32) float64 { return float64(x) })
	case F64:
		return converted[T](elementsOf[float64](t.bytes), func(x float64) float64 { return x })
	case F16:
		return converted[T](elementsOf[Float16](t.bytes), Float16.Float64)
	case BF16:
		return converted[T](elementsOf[BFloat16](t.bytes), BFloat16.Float64)
	default:
		return nil
	}
}

// converted goes through float64, which has every number of every type, so that there is one rounding.
func converted[T, From Element](from []From, wide func(From) float64) []T {
	to := make([]T, len(from))
	switch to := any(to).(type) {
	case []float32:
		for i, x := range from {
			to[i] = float32(wide(x))
		}
	case []float64:
		for i, x := range from {
			to[i] = wide(x)
		}
	case []Float16:
		for i, x := range from {
			to[i] = ToFloat16(wide(x))
		}
	case []BFloat16:
		for i, x := range from {
			to[i] = ToBFloat16(wide(x))
		}
	}
	return to
}
