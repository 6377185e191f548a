//! Matrices as strided views, and where a product cuts their depth.
//!
//! Legend: `k` depth.

use crate::element::Element;

/// Depth of one panel. `gemm` never cuts a depth of up to 512.
const PANEL: usize = 512;

/// A matrix to read: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// A row-major matrix without gaps.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows lie `row_stride` apart.
    pub(crate) fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Rows `start..start + rows`.
    pub(super) fn row_range(self, start: usize, rows: usize) -> Self {
        debug_assert!(start + rows <= self.rows);
        Self { data: &self.data[(start * self.row_stride).min(self.data.len())..], rows, ..self }
    }

    /// Columns `start..start + columns`.
    pub(super) fn column_range(self, start: usize, columns: usize) -> Self {
        debug_assert!(start + columns <= self.columns);
        Self { data: &self.data[(start * self.column_stride).min(self.data.len())..], columns, ..self }
    }

    /// The same, if its elements are f32.
    pub(super) fn narrow(&self) -> Option<Mat<'a, f32>>
    where
        T: Element,
    {
        let Self { data, rows, columns, row_stride, column_stride } = *self;
        T::narrow(data).map(|data| Mat { data, rows, columns, row_stride, column_stride })
    }

    pub(super) fn fits(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < self.data.len()
    }
}

/// What happens to the old value of the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// dst = a · b
    Replace,
    /// dst += a · b
    Add,
}

/// The depth at which products of depth `k` are cut: a function of `k` alone.
pub(super) fn panel_depth(k: usize) -> usize {
    k.div_ceil(k.div_ceil(PANEL).max(1)).max(1)
}
