package evenkeel

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Gradient is a gradient and the name of its parameter.
type Gradient struct {
	// Name comes back with the clipped gradient. It may be empty, and need not be unique.
	Name string
	// Tensor is the gradient.
	Tensor *Tensor
}

// Gradients are gradients in an order.
type Gradients []Gradient

// Unnamed is gradients without names.
func Unnamed(tensors ...*Tensor) Gradients {
	gradients := make(Gradients, len(tensors))
	for i, tensor := range tensors {
		gradients[i].Tensor = tensor
	}
	return gradients
}

// FromMap is the gradients of a map, in the order of their names. No result depends on the order, but for norms of other orders
// than 1, 2 and infinity, whose last bits may.
func FromMap(named map[string]*Tensor) Gradients {
	gradients := make(Gradients, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		gradients = append(gradients, Gradient{Name: name, Tensor: named[name]})
	}
	return gradients
}

// Map is the gradients by their names; of several with one name, the last.
func (g Gradients) Map() map[string]*Tensor {
	named := make(map[string]*Tensor, len(g))
	for _, gradient := range g {
		named[gradient.Name] = gradient.Tensor
	}
	return named
}

func (g Gradients) check() error {
	for i, gradient := range g {
		path := fmt.Sprintf("gradients[%d]", i)
		if err := gradient.Tensor.check(path); err != nil {
			return err
		}
		if !utf8.ValidString(gradient.Name) {
			return invalid(path+".name", "is not UTF-8")
		}
	}
	return nil
}
