//! Which share of the work a task of Slurm has.

use gridftp::transfer::Shard;

/// The share of this task, by what Slurm has set (sbatch(1), srun(1)): of an array, of a step of several tasks, or of both.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn of_slurm(variable: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
    let number = |name: &str| -> Result<Option<u32>, String> {
        let Some(text) = variable(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name} is \"{text}\", expected a number"))
    };
    let array = match number("SLURM_ARRAY_TASK_ID")? {
        None => None,
        Some(id) => {
            let count = number("SLURM_ARRAY_TASK_COUNT")?.unwrap_or(1);
            let least = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let most = number("SLURM_ARRAY_TASK_MAX")?.unwrap_or(id);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let regular = id >= least
                && (id - least) % step == 0
                && most.checked_sub(least).is_some_and(|range| range / step + 1 == count);
            if !regular {
                return Err(format!(
                    "the Slurm array has gaps: task {id} of {count} tasks from {least} to {most} by {step}; expected one like --array=0-3, or --shard=I/N"
                ));
            }
            Some(((id - least) / step, count))
        }
    };
    // Within a step only: a batch script has the number of tasks too, and is one process.
    let step = match (number("SLURM_STEP_NUM_TASKS")?, number("SLURM_PROCID")?) {
        (Some(count), Some(index)) if count > 1 => Some((index, count)),
        _ => None,
    };
    let (index, count) = match (array, step) {
        (None, None) => {
            return Err("--shard without a value is that of a task of Slurm, and SLURM_ARRAY_TASK_ID is not set; expected --shard=I/N".to_owned());
        }
        (Some(one), None) | (None, Some(one)) => one,
        (Some((array, arrays)), Some((index, count))) => (
            array.saturating_mul(count).saturating_add(index),
            arrays.checked_mul(count).ok_or("too many shares, expected less than 2^32")?,
        ),
    };
    Shard::new(index, count).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<(u32, u32), String> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        of_slurm(find).map(|shard| (shard.index(), shard.count()))
    }

    #[test]
    fn arrays_steps_and_both() {
        let array = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_MAX", "10"),
            ("SLURM_ARRAY_TASK_STEP", "3"),
        ];
        assert_eq!(of(&array), Ok((2, 4)));
        let step = [("SLURM_STEP_NUM_TASKS", "5"), ("SLURM_PROCID", "3")];
        assert_eq!(of(&step), Ok((3, 5)));
        assert_eq!(of(&[&array[..], &step].concat()), Ok((13, 20)));
        // A batch script of several tasks is one process.
        assert_eq!(of(&[&array[..], &[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]].concat()), Ok((2, 4)));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        assert!(of(&[]).unwrap_err().contains("expected --shard=I/N"));
        let gaps = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_MAX", "9"),
        ];
        assert!(of(&gaps).unwrap_err().contains("gaps"));
        assert!(of(&[("SLURM_ARRAY_TASK_ID", "x")]).unwrap_err().contains("expected a number"));
    }
}
