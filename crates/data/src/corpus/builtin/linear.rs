//! Linear equations of expected values over a grammar.

/// Solves x = b + M x, where row i of `matrix` lists the columns and coefficients of M that are not zero.
///
/// The nonterminals of a grammar fall into groups that call each other (strongly connected components). The groups
/// are solved callees first, each by elimination on its own small block, so that a grammar of thousands of
/// nonterminals with little recursion costs little more than reading it once.
///
/// Returns `None` if a block is singular.
pub(super) fn solve(matrix: &[Vec<(usize, f64)>], constants: &[f64]) -> Option<Vec<f64>> {
    let mut solution = vec![0.0; constants.len()];
    for group in groups(matrix) {
        let size = group.len();
        let mut rows = vec![vec![0.0; size + 1]; size];
        for (row, &unknown) in group.iter().enumerate() {
            rows[row][row] = 1.0;
            rows[row][size] = constants[unknown];
            for &(column, coefficient) in &matrix[unknown] {
                match group.iter().position(|&member| member == column) {
                    Some(place) => rows[row][place] -= coefficient,
                    None => rows[row][size] += coefficient * solution[column],
                }
            }
        }
        for (value, &unknown) in eliminate(rows)?.into_iter().zip(&group) {
            solution[unknown] = value;
        }
    }
    Some(solution)
}

/// Gauss-Jordan elimination with partial pivoting; the last entry of each row is its right-hand side.
fn eliminate(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for column in 0..size {
        let pivot = (column..size).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        if rows[pivot][column] == 0.0 {
            return None;
        }
        rows.swap(column, pivot);
        let pivot_row = rows[column].clone();
        for (row, values) in rows.iter_mut().enumerate() {
            if row != column {
                let factor = values[column] / pivot_row[column];
                values.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
    }
    Some(rows.iter().enumerate().map(|(row, values)| values[size] / values[row]).collect())
}

/// The strongly connected components of the graph of the rows, each after all that it points to (Tarjan, "Depth-first
/// search and linear graph algorithms", SIAM Journal on Computing 1(2), 1972).
pub(super) fn groups(matrix: &[Vec<(usize, f64)>]) -> Vec<Vec<usize>> {
    let mut search = Search { matrix, visited: 0, order: vec![0; matrix.len()], open: Vec::new(), groups: Vec::new() };
    for node in 0..matrix.len() {
        if search.order[node] == 0 {
            search.visit(node);
        }
    }
    search.groups
}

struct Search<'matrix> {
    matrix: &'matrix [Vec<(usize, f64)>],
    visited: usize,
    /// When a node was met first, from 1; 0 if not yet, and the largest number once its group is closed.
    order: Vec<usize>,
    open: Vec<usize>,
    groups: Vec<Vec<usize>>,
}

impl Search<'_> {
    /// Returns the earliest open node that can be reached from `node`.
    fn visit(&mut self, node: usize) -> usize {
        self.visited += 1;
        self.order[node] = self.visited;
        let own = self.visited;
        let place = self.open.len();
        self.open.push(node);
        let mut earliest = own;
        for &(next, _) in &self.matrix[node] {
            let reached = if self.order[next] == 0 { self.visit(next) } else { self.order[next] };
            earliest = earliest.min(reached);
        }
        if earliest < own {
            return earliest;
        }
        let group = self.open.split_off(place);
        group.iter().for_each(|&member| self.order[member] = usize::MAX);
        self.groups.push(group);
        usize::MAX
    }
}
