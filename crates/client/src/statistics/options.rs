//! The options of a measurement, of an array or of a reader.

/// The setters of a builder that has `header`.
macro_rules! setters {
    ([$($parameters:tt)*] $builder:ty) => {
        impl<$($parameters)*> $builder {
            /// The axes to pool over, as in [`Normalize::axes`](crate::Normalize::axes).
            pub fn axes(mut self, axes: impl IntoIterator<Item = i32>) -> Self {
                self.header.axes = axes.into_iter().collect();
                self
            }

            /// [`NormKind::Group`]: the number of groups.
            pub fn groups(mut self, groups: u32) -> Self {
                self.header.groups = groups;
                self
            }

            /// [`NormKind::Batch`], [`NormKind::Instance`], [`NormKind::Group`]: the axis of the channels. Default: 1.
            pub fn channel_axis(mut self, channel_axis: i32) -> Self {
                self.header.channel_axis = Some(channel_axis);
                self
            }
        }
    };
}
pub(super) use setters;
