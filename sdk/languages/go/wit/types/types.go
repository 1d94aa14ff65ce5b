// Package types has the types of the contract that Go lacks.
package types

// Unit is the type of a value that says nothing.
type Unit struct{}

// The tags of an Option.
const (
	OptionNone = 0
	OptionSome = 1
)

// Option is a value or none. The zero Option is none.
type Option[T any] struct {
	value T
	some  bool
}

// Some returns an Option with a value.
func Some[T any](value T) Option[T] { return Option[T]{value: value, some: true} }

// None returns an Option without.
func None[T any]() Option[T] { return Option[T]{} }

// Tag tells whether there is a value: OptionSome or OptionNone.
func (o Option[T]) Tag() uint8 {
	if o.some {
		return OptionSome
	}
	return OptionNone
}

// IsSome tells whether there is a value.
func (o Option[T]) IsSome() bool { return o.some }

// IsNone tells whether there is none.
func (o Option[T]) IsNone() bool { return !o.some }

// Some returns the value, and panics where there is none.
func (o Option[T]) Some() T {
	if !o.some {
		panic("an Option without a value was asked for it")
	}
	return o.value
}

// SomeOr returns the value, or another where there is none.
func (o Option[T]) SomeOr(other T) T {
	if o.some {
		return o.value
	}
	return other
}

// The tags of a Result.
const (
	ResultOk  = 0
	ResultErr = 1
)

// Result is a value or an error.
type Result[T, E any] struct {
	ok     T
	err    E
	failed bool
}

// Ok returns a Result with a value.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{ok: value} }

// Err returns a Result with an error.
func Err[T, E any](err E) Result[T, E] { return Result[T, E]{err: err, failed: true} }

// Tag tells which it is: ResultOk or ResultErr.
func (r Result[T, E]) Tag() uint8 {
	if r.failed {
		return ResultErr
	}
	return ResultOk
}

// IsOk tells whether it is a value.
func (r Result[T, E]) IsOk() bool { return !r.failed }

// IsErr tells whether it is an error.
func (r Result[T, E]) IsErr() bool { return r.failed }

// Ok returns the value, and panics where there is an error instead.
func (r Result[T, E]) Ok() T {
	if r.failed {
		panic("a Result with an error was asked for its value")
	}
	return r.ok
}

// Err returns the error, and panics where there is a value instead.
func (r Result[T, E]) Err() E {
	if !r.failed {
		panic("a Result with a value was asked for its error")
	}
	return r.err
}
