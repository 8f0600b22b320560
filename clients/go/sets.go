package evenkeel

import pb "evenkeel.dev/go/evenkeel/v1"

// pooled says of each axis of a tensor with so many whether it is pooled, if the server takes the arguments.
func (n *normalization) pooled(rank int) []bool {
	pooled, channels := make([]bool, rank), n.channels(rank)
	for axis := range pooled {
		switch n.request.GetKind() {
		case pb.NormKind_NORM_KIND_BATCH:
			pooled[axis] = axis != channels
		case pb.NormKind_NORM_KIND_LAYER, pb.NormKind_NORM_KIND_RMS:
			pooled[axis] = axis == rank-1 || rank > 3 && axis > 0
		case pb.NormKind_NORM_KIND_INSTANCE:
			pooled[axis] = axis > 0 && axis != channels
		case pb.NormKind_NORM_KIND_GROUP:
			pooled[axis] = axis > 0
		case pb.NormKind_NORM_KIND_L2:
			pooled[axis] = axis == min(1, rank-1)
		}
	}
	if len(n.request.GetAxes()) > 0 {
		clear(pooled)
	}
	for _, given := range n.request.GetAxes() {
		if axis := fromStart(int(given), rank); axis >= 0 && axis < rank {
			pooled[axis] = true
		}
	}
	if n.isGrouped() && channels >= 0 && channels < rank {
		pooled[channels] = true
	}
	return pooled
}

// pooledAxes are the axes that are pooled, in ascending order.
func (n *normalization) pooledAxes(rank int) []int {
	var axes []int
	for axis, pooled := range n.pooled(rank) {
		if pooled {
			axes = append(axes, axis)
		}
	}
	return axes
}

// sets is the shape of the sets of a tensor of this shape.
func (n *normalization) sets(shape []int) []int {
	sets, pooled := []int{}, n.pooled(len(shape))
	for axis, dim := range shape {
		switch {
		case n.isGrouped() && axis == n.channels(len(shape)):
			sets = append(sets, int(n.request.GetGroups()))
		case !pooled[axis]:
			sets = append(sets, dim)
		}
	}
	return sets
}

func (n *normalization) isGrouped() bool {
	return n.request.GetKind() == pb.NormKind_NORM_KIND_GROUP
}

// hasMean says whether the kind subtracts a mean.
func (n *normalization) hasMean() bool {
	return n.request.GetKind() != pb.NormKind_NORM_KIND_RMS && n.request.GetKind() != pb.NormKind_NORM_KIND_L2
}

// channels is the axis of the channels, which kinds without channels do not use.
func (n *normalization) channels(rank int) int {
	if n.request.ChannelAxis == nil {
		return 1
	}
	return fromStart(int(n.request.GetChannelAxis()), rank)
}

func fromStart(axis, rank int) int {
	if axis < 0 {
		return axis + rank
	}
	return axis
}
